package sim

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/leg/journal"
)

// rot changes some sectors of the journal on its medium: of a slot of the head, or of entries that count, mostly those
// behind the cut. It reports whether there was something to change.
func (f *journalFile) rot(w *world, head bool) bool {
	if head {
		f.rotten[w.rng.IntN(2)] = true
		return true
	}
	times := 1
	if w.chance(4) {
		times = 1 + w.rng.IntN(4)
	}
	from := journal.Place(0)
	if !w.chance(4) {
		from = f.head.Cut
	}
	some := false
	for range times {
		live := f.live(from)
		if len(live) == 0 {
			live = f.live(0)
		}
		if len(live) == 0 {
			break
		}
		if w.chance(2) { // what no commit has taken yet is read soon, and what was written last is hard to miss
			live = live[max(0, len(live)-4):]
		}
		live[w.rng.IntN(len(live))].rot(w)
		some = true
	}
	return some
}

// live returns the whole entries that count, from a place on. They rot also if nobody synced them: the kernel writes
// them, and drops them.
func (f *journalFile) live(from journal.Place) []*fileEntry {
	return slices.DeleteFunc(slices.Clone(f.entries), func(e *fileEntry) bool {
		return e.torn || f.dead(e) || e.rots() || e.Place < from
	})
}

// rot changes a sector of an entry.
func (e *fileEntry) rot(w *world) {
	if e.Blocks() == 0 || w.chance(6) {
		e.headRot = true
		return
	}
	i := w.rng.Int64N(e.Blocks())
	e.rotten = map[int64]content{i: e.payload[i]}
	e.payload = slices.Clone(e.payload)
	e.payload[i][w.rng.IntN(sectors)] ^= 1 << 31
}

// rotJournal lets the journal of one leg rot, as soon as there is something in it: while its process runs, which
// sometimes starts anew soon, before what rotted is freed, or after it has come to an end, in one way or another.
func (w *world) rotJournal() {
	list := w.legNodes()
	n := list[w.rng.IntN(min(w.set.layout.Extra, len(list)))]
	l, tries, head, down := n.leg, 0, w.chance(8), w.chance(2)
	var strike func()
	strike = func() {
		if n.leg != l || l.failed || l.journal.doomed() || !w.keptElsewhere(l) {
			return // a leg that fails beside others that are away leaves nothing to look at
		}
		if tries++; !head && len(l.journal.file.live(0)) == 0 {
			if tries < 150 {
				w.later(20*time.Millisecond, strike)
			}
			return
		}
		if down && n.on {
			w.rotWhileDown(n, head)
			return
		}
		if w.rotNow(n, head); n.on && w.chance(3) {
			w.later(w.pick(100*time.Millisecond), func() { w.endProcess(n, 300*time.Millisecond) })
		}
	}
	strike()
}

// rotNow lets the journal of a node's leg rot.
func (w *world) rotNow(n *node, head bool) {
	l := n.leg
	if !l.journal.file.rot(w, head) {
		return
	}
	l.journal.rest = nil
	w.media.Rots++
	w.logf("%s: the journal of leg %s rots", n.name, l.id.Short())
	if !n.on {
		l.miss(l.journal.file.healthy(), nil)
	}
}

// rotWhileDown ends a process, lets the journal rot, and starts it again.
func (w *world) rotWhileDown(n *node, head bool) {
	l := n.leg
	ended := func() {
		if n.leg == l && !l.failed && !l.journal.doomed() && w.keptElsewhere(l) {
			w.rotNow(n, head)
		}
		w.after(w.pick(300*time.Millisecond), n.start)
	}
	switch w.rng.IntN(3) {
	case 0:
		n.powerCut()
		ended()
	case 1:
		n.close(ended)
	default:
		n.crash()
		ended()
	}
}
