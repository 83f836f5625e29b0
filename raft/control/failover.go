package control

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
)

// Failover moves the domains of dead hosts.
//
// It guarantees that every domain that is wanted and placed on a host of View.Dead is placed, with
// takeover, on the first of its other hosts that lives; if none lives it stays where it is and
// health says so. One whose policy says that it is moved by hand stays, too. A volume that an operator
// attached to a dead host stays there: only the operator knows whether anything else should have it.
// Whether a host is dead is not judged here; that two guests never write is the fence's doing.
func Failover(v *View) []raft.Command {
	var out []raft.Command
	planned := 0 // how many of out v knows of
	for _, d := range v.sortedDomains() {
		byHand := d.Spec.Policy.Failover == guest.FailoverManual
		if !d.Running || byHand || !slices.Contains(v.Dead, d.Host) {
			continue
		}
		if d.Spec.MindsOthers() {
			for ; planned < len(out); planned++ {
				v = v.after(out[planned])
			}
		}
		if to := v.ChooseHost(d.Spec, d.Host); to != nil {
			reason := fmt.Sprintf("host %s is silent", v.State.NodeName(d.Host))
			out = append(out, v.Place(d, to.ID, reason))
		}
	}
	return out
}
