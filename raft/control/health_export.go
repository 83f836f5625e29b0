package control

import (
	"github.com/holdfast-storage/holdfast/raft"
)

// judgeExports looks at the exports that a volume has beside the unix socket.
func (v *View) judgeExports(vol *raft.Volume) []Finding {
	e := v.engine(vol)
	if e == nil || e.State.over() {
		return nil
	}
	var out []Finding
	for _, x := range e.Faults {
		out = append(out, Finding{
			Severity: raft.SeverityWarning, Status: Degraded, Object: "volume/" + vol.Name, Kind: "export_not_open",
			Message: sprintf("volume %s has no export %s on %s: %s does not open", vol.Name, x.Kind,
				v.State.NodeName(e.Node), x.Address),
			Cause: x.Error,
			Next: sprintf("it is tried again, its other exports go on; free the address, or detach the volume and "+
				"choose another with holdfast volume export %s", vol.Name),
		})
	}
	return out
}
