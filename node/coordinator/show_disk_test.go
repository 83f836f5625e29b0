package coordinator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft/control"
)

func TestShowDisk(t *testing.T) {
	require.Nil(t, showDisk(diskFact(nil)))
	for want, d := range map[string]peer.DiskStatus{
		"well":                               {Smart: &peer.SmartStatus{}},
		"worn":                               {Smart: &peer.SmartStatus{Faults: []string{"x"}}},
		"failing":                            {Smart: &peer.SmartStatus{Faults: []string{"x"}, Failing: true}},
		"not there: vda is a virtual device": {Device: "vda", SmartNone: "vda is a virtual device"},
		"not there: no single device":        {None: "no single device", SmartNone: "x"},
		"failing when it was read last; not read now: smartctl hangs": {SmartError: "smartctl hangs",
			Smart: &peer.SmartStatus{Faults: []string{"x"}, Failing: true}},
		"not read: smartctl hangs":                     {SmartError: "smartctl hangs", Smart: &peer.SmartStatus{}},
		"not read: smartctl had no answer within 20 s": {SmartError: "smartctl had no answer within 20 s"},
	} {
		require.Equal(t, want, showDisk(diskFact(&d)).Smart)
	}
	require.Equal(t, &api.Disk{Device: "sda", FailedChecks: 1, KernelErrors: 2, ReadMicros: 3000, UsualMicros: 4000,
		Model: "M", Smart: "worn", Faults: []string{"f"}, TemperatureC: 5, WearPercent: 6},
		showDisk(diskFact(&peer.DiskStatus{Device: "sda", FailedChecks: 1, KernelErrors: 2, ReadMicros: 3000,
			UsualMicros: 4000, Smart: &peer.SmartStatus{Model: "M", Faults: []string{"f"}, TemperatureC: 5,
				WearPercent: 6}})))
}

func TestNodeHealth_isTakenOver(t *testing.T) {
	at := time.Unix(1, 0)
	h := peer.NodeHealth{Build: "b", Cert: peer.CertStatus{From: at, Until: at.Add(time.Hour)},
		Clock: peer.ClockStatus{Offset: 1, Bound: 2, Step: 3, StepAge: 4}}
	require.Equal(t, control.NodeHealth{Build: "b", CertFrom: at, CertUntil: at.Add(time.Hour), ClockOffset: 1,
		ClockBound: 2, ClockStep: 3, ClockStepAge: 4}, nodeHealth(h))
}
