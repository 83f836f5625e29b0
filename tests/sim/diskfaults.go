package sim

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// failMeta lets the next write of a leg's label and regions fail, which fails the leg for good.
func (w *world) failMeta() { w.legNodes()[0].bluntMeta = true }

// rotMeta changes a sector of a leg's region file, or its newest label, on the medium. A start of the node
// finds it, unless the place is written before.
func (w *world) rotMeta() {
	if w.set != nil && w.chance(3) {
		w.rotJournal()
		return
	}
	n := w.legNodes()[0]
	d := &n.leg.durable
	if n.leg.journal.doomed() {
		return // what is to be noticed of it stays so
	}
	if w.chance(3) {
		if !d.torn { // with neither slot the leg is lost, which is a fault of its own: empty
			d.slotRotten = true
		}
	} else {
		d.rotten[uint32(w.rng.IntN(int(d.regions.Sectors())))] = true
	}
	if w.chance(2) {
		n.crash()
		w.after(w.pick(300*time.Millisecond), n.start)
	}
}

// reread is what a start of the node reads of the region file.
func (d *durableLeg) reread(w *world) *leg.Regions {
	if len(d.rotten) == 0 {
		return d.regions.Clone()
	}
	out := leg.NewRegions(d.label.LegID, d.label.LegBytes())
	for n := range d.regions.Sectors() {
		s := d.regions.Sector(n)
		if d.rotten[n] {
			s.Bytes[w.rng.IntN(len(s.Bytes))] ^= 1 << w.rng.IntN(8)
		}
		_ = out.Load(s) // a damaged sector is judged by StartLeg
	}
	return out
}

// write puts sectors on the medium.
func (d *durableLeg) write(sectors []leg.RegionSector) {
	for i := range sectors {
		_ = d.regions.Load(sectors[i]) // a whole sector of this leg is never refused
		delete(d.rotten, sectors[i].Number)
	}
}

// writeLabel puts a label into the slot that does not count.
func (d *durableLeg) writeLabel(l volume.Label) {
	d.older, d.label = d.label, l
	d.torn, d.slotRotten = d.slotRotten, false
}

// chooseSlot is what a start of the node makes of the two slots: the older one counts if the newer rotted.
// It returns whether either was damaged.
func (d *durableLeg) chooseSlot(l *storedLeg) (halved bool) {
	if d.slotRotten {
		d.label, d.slotRotten, d.torn = d.older, false, true
		l.fenced, l.rolledBack = d.label.FenceEpoch, true
	}
	halved, d.torn = d.torn, false
	return halved
}

// liar is the node whose disk lies: of a mirror always the first, of a set of parity one of as many as it bears.
func (w *world) liar() *node {
	list := w.legNodes()
	if w.set == nil {
		return list[0]
	}
	return list[w.rng.IntN(min(w.set.layout.Extra, len(list)))]
}

// lie lets a disk say that it flushed when it did not, and cuts its node's power. In half of the cases the
// label and the regions are on that disk too: then the leg is one that was set back, where that shows. A leg of parity
// has its journal on that disk as well as its home.
func (w *world) lie() {
	n := w.liar()
	l := n.leg
	if l.disk.lying {
		return
	}
	l.disk.lying, l.disk.liar, l.disk.claimed = true, true, l.disk.seq
	picture := durableLeg{label: l.durable.label, older: l.durable.older, regions: l.durable.regions.Clone(),
		rotten: map[uint32]bool{}}
	meta, tries := w.chance(2), 0
	var end func()
	end = func() {
		if n.leg != l {
			return
		}
		if tries++; tries < 200 && l.marked() && !w.calm { // what is marked is looked at anyway
			w.after(20*time.Millisecond, end)
			return
		}
		if w.calm || !w.keptElsewhere(l) {
			l.honest()
			return
		}
		w.logf("%s: the disk lied", n.name)
		if meta && w.provable(l, &picture.label) {
			n.end()
			l.durable, l.fenced, l.answered = picture, 0, 0
			l.excused, l.excusedIn = true, w.raft.vol().Epoch
			if l.journal != nil {
				l.journal.floor = volume.Transaction{}
				clear(l.silent)
			}
		}
		n.powerCut()
		l.disk.lying = false
		w.after(w.pick(4*time.Second), n.start)
	}
	w.after(w.pick(4*time.Second), end)
}

// honest makes true what the disk of a leg said.
func (l *storedLeg) honest() {
	l.disk.honest()
	if l.journal != nil {
		l.journal.file.forgetLies()
	}
}

// pauseNode stops a node's process for a while, as a debugger or a full machine does; its connections stay.
func (w *world) pauseNode() {
	n := w.someNode()
	if n.paused || !n.on {
		return
	}
	w.logf("%s pauses", n.name)
	n.paused = true
	life := n.life
	w.after(w.pick([]time.Duration{time.Second, 10 * time.Second, time.Minute}[w.rng.IntN(3)]), func() {
		if n.life == life {
			n.resume()
		}
	})
}

// when runs f now, or when the process goes on after a pause.
func (n *node) when(f func()) {
	if n.paused {
		n.backlog = append(n.backlog, f)
		return
	}
	f()
}

func (n *node) resume() {
	if !n.paused {
		return
	}
	n.w.logf("%s resumes", n.name)
	n.paused = false
	list := n.backlog
	n.backlog = nil
	for _, f := range list {
		f()
	}
}

// fillJoiners leaves no room on the nodes of legs that are out of sync.
func (w *world) fillJoiners() {
	for _, n := range w.legNodes() {
		if !w.raft.inSync(n.leg.id) {
			n.full = true
			w.after(w.pick(4*time.Second), func() { n.full = false })
		}
	}
}

// jumpClock sets the wall clock of the leader of this moment by up to an hour. No wait is measured by it.
func (w *world) jumpClock() { w.raft.jump = w.pick(2*time.Hour) - time.Hour }

// clone shows a node's disk to another node too, which reports it. The coordinators keep it to its owner.
func (w *world) clone() {
	owner := w.someNode()
	for _, n := range w.nodes {
		if n == owner || !n.on {
			continue
		}
		r := w.raft.commit(raft.Command{RegisterNode: w.raft.registration(n, owner.store)})
		has := func(s raft.Store) bool { return s.ID == owner.store }
		known := w.raft.state.Nodes[n.id]
		w.watch.hold(r.Err != nil && (known == nil || !slices.ContainsFunc(known.Stores, has)), "I22",
			"store of %s is taken on for %s too", owner.name, n.name)
		return
	}
}
