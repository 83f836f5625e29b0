package control

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/raft"
)

// Failover moves the domains of dead hosts.
//
// It guarantees that every domain that is wanted and placed on a host of View.Dead is placed, with
// takeover, on the first of its other hosts that lives; if none lives it stays where it is and
// health says so. A volume that an operator attached to a dead host stays there: only the operator
// knows whether anything else should have it. Whether a host is dead is not judged here; that two
// guests never write is the fence's doing.
func Failover(v *View) []raft.Command {
	var out []raft.Command
	for _, d := range v.sortedDomains() {
		if !d.Running || !slices.Contains(v.Dead, d.Host) {
			continue
		}
		if to := v.ChooseHost(d.Spec, d.Host); to != nil {
			reason := fmt.Sprintf("host %s is silent", v.State.NodeName(d.Host))
			place := v.Place(d, to.ID, reason)
			out, v = append(out, place), v.after(place)
		}
	}
	return out
}
