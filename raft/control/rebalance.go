package control

import (
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Rebalance moves legs while that is wanted.
//
// It guarantees that only legs move with which nothing is wrong, each by a replacement that is in sync before
// the old leg goes; one leg of a volume at a time, and one leg to or from a node; that each move makes a volume
// share fewer zones or racks, or a store emptier that was RebalanceTolerance fuller than the leg's new one is
// afterwards, so that it comes to an end; and that nothing begins to move while anything is amiss. When there is
// nothing left to move, the wish ends.
func Rebalance(v *View) []raft.Command {
	wish := v.State.Rebalance
	if wish == nil || v.Unfit() != "" {
		return nil
	}
	moves, busy := v.Moves(), make(map[volume.NodeID]bool)
	taken, running := make(map[volume.ID]bool), false
	for _, vol := range v.State.Volumes {
		for _, l := range vol.Legs {
			if old := vol.Leg(l.Replaces); old != nil {
				busy[l.Node], busy[old.Node], taken[vol.ID], running = true, true, true, true
			}
		}
	}
	if len(moves) == 0 && !running {
		return []raft.Command{{EndRebalance: &raft.EndRebalance{Request: wish.Request,
			Reason: "stores are even, and volumes are spread"}}}
	}
	var out []raft.Command
	for _, m := range moves {
		from := v.State.Volumes[m.Volume].Leg(m.Old)
		if from != nil && !taken[m.Volume] && !busy[from.Node] && !busy[m.New.Node] {
			out = append(out, raft.Command{ReplaceLeg: &m})
		}
		if from != nil { // what has to wait keeps its turn
			busy[from.Node], busy[m.New.Node] = true, true
		}
		taken[m.Volume] = true
	}
	return out
}

// Moving returns the legs that are on their way to another place by a rebalancing, and how far they are, from
// 0 to 1 each.
func (v *View) Moving() (phrases []string, progress float64) {
	for _, vol := range v.State.SortedVolumes() {
		for _, l := range vol.Legs {
			old := vol.Leg(l.Replaces)
			if old == nil || !l.Ordered {
				continue
			}
			p, _, _ := v.LegProgress(vol, l)
			progress += p
			phrases = append(phrases, sprintf("a leg of volume %s moves from %s to %s", vol.Name,
				v.State.NodeName(old.Node), v.State.NodeName(l.Node)))
		}
	}
	return phrases, progress
}

// Unfit returns why no leg should be moved now, "" if nothing is amiss: then every leg is in sync, or on its
// way to be since an operator wanted it moved.
func (v *View) Unfit() string {
	for _, n := range v.State.SortedNodes() {
		switch {
		case !n.Has(raft.RoleStorage) || n.Pending:
		case n.Retiring && !(n.Stays && v.Holds(n.ID) == ""):
			return sprintf("node %s is being emptied", n.Name)
		case !v.speaks(n.ID):
			return sprintf("node %s does not answer", n.Name)
		default:
			for _, st := range v.Facts.Nodes[n.ID].Stores {
				if st.Error != "" {
					return sprintf("store %s of node %s: %s", st.Name, n.Name, st.Error)
				}
			}
		}
	}
	for _, vol := range v.State.SortedVolumes() {
		if why := v.unfitVolume(vol); why != "" {
			return why
		}
	}
	return ""
}

func (v *View) unfitVolume(vol *raft.Volume) string {
	switch {
	case vol.Deleting || vol.Phase == volume.PhaseProvisioning:
		return "" // it is not moved, and in nobody's way
	case vol.Phase == volume.PhaseFrozen:
		return sprintf("volume %s is frozen", vol.Name)
	}
	for _, l := range vol.Legs {
		_, condition := v.Leg(l)
		coming := l.Ordered && (l.State == volume.LegRebuilding || l.State == volume.LegStale)
		switch {
		case coming:
		case l.State != volume.LegInSync:
			return sprintf("the leg of volume %s on %s is %s", vol.Name, v.State.NodeName(l.Node), l.State)
		case condition != ConditionOK && condition != ConditionUnknown:
			return sprintf("the leg of volume %s on %s is %s", vol.Name, v.State.NodeName(l.Node), condition)
		}
	}
	return ""
}
