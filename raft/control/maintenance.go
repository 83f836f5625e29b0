package control

import (
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Maintain brings the legs of detached volumes in sync.
//
// It guarantees that a volume which has been detached for Timing.Maintenance, has a leg that could be
// brought in sync now, and enough in-sync legs that can be read, is attached without export on a
// live host; and that such an attachment is detached when nothing more can be done. An operator's or
// a domain's attach pre-empts it.
func Maintain(v *View) []raft.Command {
	var out []raft.Command
	for _, vol := range v.sortedVolumes() {
		switch {
		case vol.Deleting:
		case vol.Attach == nil && vol.Phase == volume.PhaseDetached:
			out = append(out, v.beginMaintenance(vol)...)
		case vol.Attach != nil && vol.Attach.Maintenance && !vol.Attach.Detaching && !v.joinable(vol):
			out = append(out, raft.Command{RequestDetach: &raft.RequestDetach{Volume: vol.ID,
				Epoch: vol.Epoch}})
		}
	}
	return out
}

func (v *View) beginMaintenance(vol *raft.Volume) []raft.Command {
	since, seen := v.Facts.detached[vol.ID]
	if !seen || v.Now.Sub(since) < v.Timing.Maintenance || !v.Facts.regrants[vol.ID].due(v.Now) {
		return nil
	}
	if !v.joinable(vol) || v.readable(vol) < vol.Layout.Quorum() {
		return nil
	}
	host := v.leastBusy(volume.NodeID{})
	if host == nil {
		return nil
	}
	return []raft.Command{{BeginAttach: &raft.BeginAttach{
		Volume: vol.ID, Host: host.ID, AttachID: v.attachID(), Maintenance: true, After: vol.Epoch,
	}}}
}

// joinable reports whether a leg that is not in sync could be brought so now, or one that is in sync
// is to leave since its replacement is.
func (v *View) joinable(vol *raft.Volume) bool {
	for _, l := range vol.Legs {
		_, condition := v.Leg(l)
		switch l.State {
		case volume.LegStale, volume.LegRebuilding:
			if l.Provisioned && !l.Retiring && condition == ConditionOK {
				return true
			}
		}
		if l.Retiring {
			if by := vol.Replacement(l.ID); by != nil && by.State == volume.LegInSync {
				return true
			}
		}
	}
	return false
}

// readable counts the in-sync legs that their nodes say are well.
func (v *View) readable(vol *raft.Volume) int {
	n := 0
	for _, l := range vol.Legs {
		if _, condition := v.Leg(l); l.State == volume.LegInSync && condition == ConditionOK {
			n++
		}
	}
	return n
}
