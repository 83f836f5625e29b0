package coordinator

import (
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft/control"
)

func nodeHealth(h peer.NodeHealth) control.NodeHealth {
	return control.NodeHealth{Build: h.Build, CertFrom: h.Cert.From, CertUntil: h.Cert.Until,
		CertFault:   h.Cert.Fault,
		ClockLeader: h.Clock.Leader, ClockOffset: h.Clock.Offset, ClockBound: h.Clock.Bound,
		ClockStep: h.Clock.Step, ClockStepAge: h.Clock.StepAge}
}

func diskFact(d *peer.DiskStatus) *control.DiskFact {
	if d == nil {
		return nil
	}
	f := &control.DiskFact{Device: d.Device, DeviceUnknown: d.None, FailedChecks: d.FailedChecks,
		KernelErrors: d.KernelErrors, Read: time.Duration(d.ReadMicros) * time.Microsecond,
		Usual: time.Duration(d.UsualMicros) * time.Microsecond, SmartNone: d.SmartNone, SmartError: d.SmartError}
	if s := d.Smart; s != nil {
		f.SmartModel, f.SmartFaults, f.SmartFailing = s.Model, s.Faults, s.Failing
		f.TemperatureC, f.WearPercent = s.TemperatureC, s.WearPercent
	}
	return f
}
