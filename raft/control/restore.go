package control

import (
	"strings"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Untold names the storage nodes that have not told, since the coordinators were restored, of all the legs on their
// disks, each with what is known of why. It is empty when all have that the coordinators know. There may be others: a
// node that joined after the backup is known once it has registered again.
func (v *View) Untold() []string {
	var out []string
	for _, n := range v.State.SortedNodes() {
		if why := v.untold(n); why != "" {
			out = append(out, sprintf("%s (%s)", n.Name, why))
		}
	}
	return out
}

// untold says why a node may have legs that the coordinators have not heard of, "" if it has none.
func (v *View) untold(n *raft.Node) string {
	switch {
	case !n.Has(raft.RoleStorage):
		return ""
	case n.Pending:
		return sprintf("the new node %s of that name is no member yet: holdfast node replace %s %s", n.ID.Short(),
			n.Name, n.Name)
	case !v.speaks(n.ID):
		return "silent"
	}
	heard := v.Facts.Nodes[n.ID]
	there := map[volume.StoreID]bool{}
	for _, st := range heard.Stores {
		if st.Error != "" {
			return sprintf("store %s: %s", st.Name, st.Error)
		}
		there[st.ID] = true
	}
	for _, st := range n.Stores {
		if !there[st.ID] {
			return sprintf("it does not speak of its store %s", st.Name)
		}
	}
	if heard.Told != v.State.Cluster.Incarnation {
		return "it has not told yet which legs are on its disks"
	}
	return ""
}

// judgeRestore tells of the time after a restore in which legs are found.
func (v *View) judgeRestore() []Finding {
	if !v.State.Cluster.FromLegs {
		return nil
	}
	f := Finding{
		Severity: raft.SeverityWarning, Status: Degraded, Object: "cluster", Kind: "restoring",
		Message: "the coordinators were restored, and legs that they do not know may be on disks: no volume of " +
			"before serves until an operator says that all were found",
		Cause: "every storage node that is known has told what is on its disks",
		Next: "compare holdfast node list with your own list of machines: one that joined after the backup is known " +
			"once it runs again; then holdfast cluster restore --done",
	}
	if untold := v.Untold(); len(untold) > 0 {
		f.Cause = "not told yet what is on the disks of " + strings.Join(untold, ", ")
		f.Next = "start those nodes; when they and those that joined after the backup have told it, holdfast cluster " +
			"restore --done"
	}
	return []Finding{f}
}

// awaitsFound reports whether a volume waits for that word.
func (v *View) awaitsFound(vol *raft.Volume) bool {
	return v.State.Cluster.FromLegs && vol.VerifyAll && vol.Promoted.IsZero() && !vol.Deleting
}
