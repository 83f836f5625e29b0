package coordinator

import (
	"cmp"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft/control"
)

func showDisk(d *control.DiskFact) *api.Disk {
	if d == nil {
		return nil
	}
	out := &api.Disk{Device: d.Device, FailedChecks: d.FailedChecks, KernelErrors: d.KernelErrors,
		ReadMicros: d.Read.Microseconds(), UsualMicros: d.Usual.Microseconds(), Model: d.SmartModel,
		Faults: d.SmartFaults, TemperatureC: d.TemperatureC, WearPercent: d.WearPercent, Smart: "well"}
	switch none := cmp.Or(d.DeviceUnknown, d.SmartNone); {
	case none != "":
		out.Smart = "not there: " + none
	case d.SmartFailing:
		out.Smart = "failing"
	case len(d.SmartFaults) > 0:
		out.Smart = "worn"
	}
	switch {
	case d.SmartError == "":
	case len(d.SmartFaults) == 0:
		out.Smart = "not read: " + d.SmartError
	default:
		out.Smart += " when it was read last; not read now: " + d.SmartError
	}
	return out
}
