package control

import (
	"cmp"
	"slices"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// maintainedMax is how many detached volumes a host maintains at once. Each has an engine of its own, and all of them
// share the host's network and the disks.
const maintainedMax = 4

// Maintain brings the legs of detached volumes in sync.
//
// It guarantees that a volume which has been detached for Timing.Maintenance, has a leg that could be
// brought in sync now, and enough in-sync legs that can be read, is attached without export on a
// live host; and that such an attachment is detached when nothing more can be done. An operator's or
// a domain's attach pre-empts it. A host maintains maintainedMax volumes at once, the volumes that can lose
// fewest legs come first, and one whose copies stand still keeps nobody waiting.
func Maintain(v *View) []raft.Command {
	var out []raft.Command
	var due []*raft.Volume
	sources := v.cloneSources()
	for _, vol := range v.sortedVolumes() {
		switch {
		case vol.Deleting:
		case v.isDue(vol):
			due = append(due, vol)
		case sources[vol.ID]: // Clones has it attached
		case vol.Attach != nil && vol.Attach.Maintenance && !vol.Attach.Detaching && !v.joinable(vol):
			out = append(out, raft.Command{RequestDetach: &raft.RequestDetach{Volume: vol.ID,
				Epoch: vol.Epoch}})
		}
	}
	if len(due) == 0 {
		return out
	}
	slices.SortStableFunc(due, func(a, b *raft.Volume) int { return cmp.Compare(v.spare(a), v.spare(b)) })
	maintained := v.maintained(sources)
	for _, vol := range due {
		host := v.maintainer(maintained)
		if host == nil {
			break
		}
		maintained[host.ID]++
		out = append(out, raft.Command{BeginAttach: &raft.BeginAttach{
			Volume: vol.ID, Host: host.ID, AttachID: v.attachID(), Maintenance: true, After: vol.Epoch,
		}})
	}
	return out
}

// isDue reports whether a volume is to be maintained as soon as a host does it.
func (v *View) isDue(vol *raft.Volume) bool {
	if vol.Deleting || vol.Attach != nil || vol.Phase != volume.PhaseDetached {
		return false
	}
	since, seen := v.Facts.detached[vol.ID]
	return seen && v.Now.Sub(since) >= v.Timing.Maintenance && v.Facts.regrants[vol.ID].due(v.Now) &&
		v.joinable(vol) && v.readable(vol) >= vol.Layout.Quorum()
}

// maintained counts the volumes that each host maintains and that keep others waiting. Those that clones are filled
// from do not.
func (v *View) maintained(sources map[volume.ID]bool) map[volume.NodeID]int {
	n := make(map[volume.NodeID]int)
	for _, vol := range v.sortedVolumes() {
		if vol.Attach != nil && vol.Attach.Maintenance && !sources[vol.ID] && !v.standsStill(vol) {
			n[vol.Attach.Host]++
		}
	}
	return n
}

// isMaintainedLately reports whether a volume is maintained, and for a shorter time than a job may make no progress.
func (v *View) isMaintainedLately(vol *raft.Volume) bool {
	return vol.Attach != nil && vol.Attach.Maintenance && v.Now.Sub(v.Facts.held[vol.ID]) < v.Timing.Stalled
}

// standsStill reports whether a volume has been maintained for as long as a job may make no progress, and no copy of it
// makes any.
func (v *View) standsStill(vol *raft.Volume) bool {
	if v.isMaintainedLately(vol) {
		return false
	}
	return !slices.ContainsFunc(v.Facts.volumeJobs(nil, v.State, vol), func(j Job) bool {
		return j.Kind == JobCopy && v.stalled(&j) < v.Timing.Stalled
	})
}

// maintainer returns the least busy host that may maintain one more volume, nil if none does.
func (v *View) maintainer(maintained map[volume.NodeID]int) *raft.Node {
	for _, host := range v.hosts(volume.NodeID{}) {
		if maintained[host.ID] < maintainedMax {
			return host
		}
	}
	return nil
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

// readable counts the in-sync legs that their nodes say are well, as the layout counts them.
func (v *View) readable(vol *raft.Volume) int {
	var slots []int
	for _, l := range vol.Legs {
		if _, condition := v.Leg(l); l.State == volume.LegInSync && condition == ConditionOK {
			slots = append(slots, l.Slot)
		}
	}
	return vol.Layout.Worth(slots)
}

// reached counts the in-sync legs that were not set back and can be reached, as the layout counts them.
func (v *View) reached(vol *raft.Volume) int {
	var slots []int
	for _, l := range vol.Legs {
		if l.State == volume.LegInSync && !l.SetBack && v.reaches(vol, l) {
			slots = append(slots, l.Slot)
		}
	}
	return vol.Layout.Worth(slots)
}
