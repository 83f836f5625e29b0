package sim

import (
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// image is a leg as it was at some time: what a snapshot of its machine holds.
type image struct {
	disk  *disk
	label volume.Label
	meta  durableLeg
}

// setBack takes a picture of one leg, and later, while another leg keeps the data, sets its node back to
// it. Only what the coordinators can prove is asked of them: that the label has moved on by more than was
// confirmed. The node's processes end; its system starts anew.
func (w *world) setBack() { w.setBackOf(w.someNode(), 10*time.Second) }

// setBackOf sets a node back within a time to what its leg is now.
func (w *world) setBackOf(n *node, within time.Duration) {
	l := n.leg
	picture := image{disk: l.disk.clone(), label: l.durable.label, meta: durableLeg{label: l.durable.label,
		older: l.durable.older, regions: l.durable.regions.Clone(), rotten: map[uint32]bool{}}}
	w.after(w.pick(within), func() {
		if n.leg != l || w.calm || !w.provable(l, &picture.label) || !w.keptElsewhere(l) {
			return
		}
		w.logf("%s is set back to label %d", n.name, picture.label.SlotSeq)
		n.crash()
		n.boot = w.uuid()
		w.history.cuts++
		l.disk, l.durable = picture.disk, picture.meta
		l.disk.powerCut(w, true)
		l.excused, l.excusedIn, l.fenced, l.answered = true, w.raft.vol().Epoch, 0, 0
		w.after(w.pick(2*time.Second), n.start)
	})
}

// provable reports whether raft knows that the leg had come further than a label says.
func (w *world) provable(l *storedLeg, label *volume.Label) bool {
	v := w.raft.vol()
	rl := v.Leg(l.id)
	return rl != nil && (label.Progress < rl.LabelSeq || label.Config.CfgVer < rl.LabelCfg)
}

// keptElsewhere reports whether another leg in sync is well.
func (w *world) keptElsewhere(l *storedLeg) bool {
	for _, id := range w.raft.vol().InSync {
		if other := w.watch.fit(id); other != nil && other != l && other.n.on {
			return true
		}
	}
	return false
}

// empty takes a leg's data away: its node finds a store without it, and says so. An operator replaces it.
func (w *world) empty() {
	n := w.someNode()
	l := n.leg
	if !w.keptElsewhere(l) {
		return
	}
	w.logf("%s is emptied", n.name)
	n.crash()
	n.leg = nil
	w.after(w.pick(2*time.Second), func() {
		n.start()
		w.raft.commit(raft.Command{LegLost: &raft.LegLost{Volume: w.raft.volume, Leg: l.id,
			Reason: "no label"}})
	})
}

// restoreRaft sets the coordinators back to an old copy of their state, as `cluster restore` does. Some hosts
// go on as if nothing had been; every leg can be reached in the end, since none is done without.
func (w *world) restoreRaft() {
	if w.raft.old == nil || w.raft.noone {
		w.raft.old = w.raft.state.Fork()
		return
	}
	if w.raft.old.Volumes[w.raft.volume].Phase == volume.PhaseProvisioning || !w.sameLegs(w.raft.old) {
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
	w.newHost(false)
	w.findAll(state.Cluster.Incarnation, w.pick(4*time.Second))
	w.runFor(12 * time.Second)
}

// findAll has the operator say after a time that every leg was found, once a coordinator answers him.
func (w *world) findAll(incarnation volume.ClusterID, after time.Duration) {
	w.after(after, func() {
		switch {
		case w.raft.state.Cluster.Incarnation != incarnation: // they were restored again
		case w.raft.noone:
			w.findAll(incarnation, time.Second)
		default:
			w.raft.must(raft.Command{EndRebuild: &raft.EndRebuild{}})
		}
	})
}

// sameLegs reports whether a copy of the state has the legs that there are.
func (w *world) sameLegs(s *raft.State) bool {
	for _, l := range s.Volumes[w.raft.volume].Legs {
		if w.legNode(l.ID) == nil {
			return false
		}
	}
	return len(s.Volumes[w.raft.volume].Legs) == len(w.raft.vol().Legs)
}

// restored forgets what the coordinators have forgotten.
func (o *observer) restored() {
	clear(o.removedAt)
	o.ackedIn = 0
}
