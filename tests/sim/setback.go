package sim

import (
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// image is a leg as it was at some time: what a snapshot of its machine holds.
type image struct {
	disk  *disk
	file  *journalFile
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
	if l.journal != nil {
		picture.file = l.journal.file.clone()
	}
	w.after(w.pick(within), func() {
		if n.leg != l || w.calm || !w.provable(l, &picture.label) || !w.keptElsewhere(l) {
			return
		}
		w.logf("%s is set back to label %d", n.name, picture.label.SlotSeq)
		n.end()
		n.boot = w.uuid()
		w.history.cuts++
		l.disk, l.durable = picture.disk, picture.meta
		l.disk.powerCut(w, true)
		if l.journal != nil {
			l.journal.file, l.journal.rest, l.journal.floor = picture.file, nil, volume.Transaction{}
			clear(l.silent) // it is copied in full
			l.journal.file.powerCut(w)
		}
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

// keptElsewhere reports whether another leg in sync is well. While all legs have to answer, which ones are in sync is
// not known.
func (w *world) keptElsewhere(l *storedLeg) bool {
	if w.raft.vol().VerifyAll {
		return false
	}
	var others []volume.LegID
	for _, id := range w.raft.vol().InSync {
		other := w.watch.fit(id)
		if other != nil && other != l && other.n.on && !other.n.closing && (w.set == nil || !other.disk.lying) {
			others = append(others, id)
		}
	}
	return w.enough(w.raft.vol(), others)
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

// restored forgets what the coordinators have forgotten.
func (o *observer) restored() {
	clear(o.removedAt)
	o.ackedIn = 0
}
