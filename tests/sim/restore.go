package sim

import (
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// restoreRaft sets the coordinators back to an old copy of their state, as `cluster restore` does. Some hosts
// go on as if nothing had been; every leg can be reached in the end, since none is done without. Legs that were made
// since the copy are found one after the other.
func (w *world) restoreRaft() {
	if w.raft.old == nil || w.raft.noone {
		w.raft.old = w.raft.state.Fork()
		return
	}
	if w.raft.old.Volumes[w.raft.volume].Phase == volume.PhaseProvisioning || !w.hasLegs(w.raft.old) {
		w.raft.old = w.raft.state.Fork()
		return
	}
	w.logf("the coordinators are restored from an old copy")
	for _, h := range w.hosts {
		if w.chance(2) {
			h.die()
		}
	}
	for _, n := range w.legNodes() {
		n.unhang()
		n.start()
		n.slow = 0
	}
	w.restored = true
	state, err := raft.Restored(w.raft.old, raft.Restoration{Incarnation: volume.ClusterID{UUID: w.uuid()},
		Generation: w.raft.state.Cluster.RestoreGen + 1, At: w.raft.time(), From: "an old copy"})
	if err != nil {
		w.fail("setup", "restore the coordinators: %v", err)
		return
	}
	state.Break(w.opts.Broken.Raft)
	w.raft.old = nil
	w.raft.state = state
	w.raft.elect()
	w.watch.restored()
	for _, n := range w.nodes {
		if state.Nodes[n.id] == nil {
			w.raft.register(n)
		}
	}
	w.newHost(false)
	w.findLegs(state.Cluster.Incarnation)
	w.runFor(12 * time.Second)
}

// hasLegs reports whether the legs that a copy of the state knows are there.
func (w *world) hasLegs(s *raft.State) bool {
	for _, l := range s.Volumes[w.raft.volume].Legs {
		if w.legNode(l.ID) == nil {
			return false
		}
	}
	return true
}

// kept reports whether a leg that has left the volume is still on its disk, since its node has not heard of it: so it
// is with one that a backup knows.
func (w *world) kept(id volume.LegID) bool {
	return !w.calm && w.raft.old != nil && w.raft.old.Volumes[w.raft.volume].Leg(id) != nil
}

// findLegs has each node tell, sooner or later, which leg is on its disk, and then the operator say that every leg was
// found. Both need a coordinator that answers.
func (w *world) findLegs(incarnation volume.ClusterID) {
	left := len(w.nodes)
	for _, n := range w.nodes {
		w.untilDone(incarnation, w.pick(4*time.Second), func() bool {
			if !n.on || !w.tellLeg(n) {
				return false
			}
			left--
			return true
		})
	}
	w.untilDone(incarnation, w.pick(5*time.Second), func() bool {
		if left > 0 {
			return false
		}
		w.logf("the operator says that every leg was found")
		w.raft.must(raft.Command{EndRebuild: &raft.EndRebuild{}})
		return true
	})
}

// untilDone tries something again and again that needs a coordinator, after a time, unless they are restored again.
func (w *world) untilDone(incarnation volume.ClusterID, after time.Duration, do func() bool) {
	w.after(after, func() {
		if w.raft.state.Cluster.Incarnation == incarnation && (w.raft.noone || !do()) {
			w.untilDone(incarnation, time.Second, do)
		}
	})
}

// tellLeg has a node report the leg on its disk if the coordinators do not know it. A volume that its label
// contradicts is frozen; nothing else may refuse it.
func (w *world) tellLeg(n *node) bool {
	if n.leg == nil {
		return true
	}
	_, known := w.raft.state.LegByID(n.leg.id)
	if _, buried := w.raft.state.Tombs[n.leg.id]; known != nil || buried {
		return true
	}
	r := w.raft.commit(raft.Command{AdoptLeg: &raft.AdoptLeg{Node: n.id, Store: n.store, Label: n.leg.durable.label}})
	if r.Err != nil && r.Err.Code != raft.CodeFrozen {
		w.fail("setup", "the leg on %s is not taken in: %v", n.name, r.Err)
	}
	w.logf("%s tells of leg %s", n.name, n.leg.id.Short())
	return true
}
