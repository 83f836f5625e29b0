package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// blockState is what a block looked like on the legs in sync when a scrub began.
type blockState struct {
	legs []*storedLeg
	data []content // of the legs whose block is whole
}

// orderScrub has an engine look at the whole volume.
func (w *world) orderScrub() {
	h := w.newest()
	if h.over() {
		return
	}
	w.scrubs++
	order := mirror.ScrubOrder{ID: w.scrubs, Rate: 1 << (20 + w.rng.IntN(7))}
	w.logf("%s is to scrub", h.name)
	h.run(func() { h.step(&mirror.Event{Kind: mirror.EventScrub, Scrub: &order}) })
}

// scrubbed looks at what a scrub found: legs differ only where a disk lied, and blocks are bad only where a
// disk rotted or lied.
func (o *observer) scrubbed(h *host, r *mirror.ScrubReport) {
	o.w.logf("%s scrubbed %d bytes, complete %v, %d blocks diverged, %d unreadable", h.name, r.Bytes, r.Complete,
		r.DivergedN, r.Unreadable)
	for _, d := range r.Diverged {
		if o.w.set != nil {
			o.divergedInSet(h, d)
			continue
		}
		for b := d.Off / blockBytes; b < d.End()/blockBytes; b++ {
			o.hold(o.w.lied[b], "scrub", "%s finds that block %d differs, and no disk lied", h.name, b)
		}
	}
	for _, l := range r.Legs {
		stored := o.w.legOf(l.ID)
		o.hold(l.Bad == 0 || stored == nil || stored.disk.decayed || len(o.w.lied) > 0, "scrub",
			"%s finds %d bad blocks on leg %s, whose disk is well", h.name, l.Bad, l.ID.Short())
	}
	if o.w.set != nil {
		o.w.media.Reported += int(r.DivergedN)
	}
	h.scrubs = append(h.scrubs, r)
}

// scrubAll has a volume that is well scrubbed twice: the first scrub mends what can be mended, guests write
// the rest anew, the second finds nothing. It reports whether that is so.
func (w *world) scrubAll(h *host) bool {
	before, torn := w.blockStates(), w.tornRows()
	first := w.scrubOnce(h)
	if first == nil {
		return false
	}
	w.judgeScrub(first, before)
	w.judgeScrubOfSet(first, torn)
	w.overwriteWhere(h, func(b int64) bool { return w.noGood(b, w.now) || w.set == nil && w.differs(b) })
	w.overwriteTorn(h)
	w.runFor(5 * time.Second)
	second := w.scrubOnce(h)
	if second == nil {
		return false
	}
	w.watch.hold(second.DivergedN == 0 && second.Unreadable == 0, "scrub",
		"%d blocks still differ, %d are still unreadable", second.DivergedN, second.Unreadable)
	for _, l := range second.Legs {
		w.watch.hold(l.Bad == 0, "scrub", "leg %s still has %d bad blocks", l.ID.Short(), l.Bad)
	}
	return w.violation == nil
}

// scrubOnce has an engine scrub to the end.
func (w *world) scrubOnce(h *host) *mirror.ScrubReport {
	n := len(h.scrubs)
	w.scrubs++
	h.step(&mirror.Event{Kind: mirror.EventScrub, Scrub: &mirror.ScrubOrder{ID: w.scrubs, Rate: 1 << 30}})
	for range 60 {
		w.runFor(time.Second)
		if w.violation != nil {
			return nil
		}
		for _, r := range h.scrubs[min(n, len(h.scrubs)):] {
			if r.ID == w.scrubs {
				w.watch.hold(r.Complete, "scrub", "a scrub of a volume that is well ended at byte %d", r.Next)
				return r
			}
		}
	}
	w.fail("I35", "a scrub did not end: %s", w.describe(h))
	return nil
}

// blockStates looks at the blocks that are not the same everywhere.
func (w *world) blockStates() map[int64]blockState {
	out := map[int64]blockState{}
	if w.set != nil {
		return out // rows are looked at as code words
	}
	for b := range w.raft.vol().SizeBytes / blockBytes {
		if !w.differs(b) {
			continue
		}
		var s blockState
		for _, id := range w.raft.vol().InSync {
			if l := w.legOf(id); l != nil && !l.disk.bad(b) {
				s.legs, s.data = append(s.legs, l), append(s.data, l.disk.cells[b].data)
			}
		}
		out[b] = s
	}
	return out
}

// judgeScrub holds a scrub to its word: where most of the legs whose block is whole agree, all have that
// now; elsewhere it was counted, and nothing was changed.
func (w *world) judgeScrub(r *mirror.ScrubReport, before map[int64]blockState) {
	diverged := int64(0)
	for _, b := range slices.Sorted(maps.Keys(before)) {
		s := before[b]
		votes := map[content]int{}
		for _, c := range s.data {
			votes[c]++
		}
		decided := false
		for c, n := range votes {
			if 2*n > len(s.data) {
				decided = true
				w.healed(b, c)
			}
		}
		if decided || len(s.data) == 0 {
			continue
		}
		diverged++
		for i, l := range s.legs {
			w.watch.hold(l.disk.cells[b].data == s.data[i], "scrub",
				"block %d differs and nobody knows which is right: it was changed on %s", b, l.n.name)
		}
	}
	w.watch.hold(w.set != nil || diverged == r.DivergedN, "scrub", "%d blocks differ, the scrub counts %d", diverged,
		r.DivergedN)
}

// healed checks that a block is what the majority had on every leg in sync.
func (w *world) healed(b int64, want content) {
	for _, id := range w.raft.vol().InSync {
		if l := w.legOf(id); l != nil {
			w.watch.hold(!l.disk.bad(b) && l.disk.cells[b].data == want, "scrub",
				"block %d is %v on %s after a scrub, the majority had %v", b, l.disk.cells[b].data, l.n.name, want)
		}
	}
}

// noGood reports whether no leg in sync has had a whole copy of a block all the time since then.
func (w *world) noGood(b int64, since time.Duration) bool {
	if w.set != nil {
		return w.noGoodRow(b, since)
	}
	return !slices.ContainsFunc(w.inSyncLegs(), func(l *storedLeg) bool { return !l.disk.badSince(b, since) })
}

// noGoodRow reports whether too few legs in sync have had a whole block of the row of a block since then.
func (w *world) noGoodRow(b int64, since time.Duration) bool {
	_, row := w.set.place(b)
	var well []volume.LegID
	for _, l := range w.inSyncLegs() {
		_, bad := l.holds(row)
		if at, cured := l.disk.cured[row]; !bad && (!cured || at < since) {
			well = append(well, l.id)
		}
	}
	return !w.enough(w.raft.vol(), well)
}

// differs reports whether a block is not the same, and whole, on all legs in sync.
func (w *world) differs(b int64) bool {
	list := w.inSyncLegs()
	return slices.ContainsFunc(list, func(l *storedLeg) bool {
		return l.disk.bad(b) || l.disk.cells[b].data != list[0].disk.cells[b].data
	})
}

func (w *world) inSyncLegs() []*storedLeg {
	var list []*storedLeg
	for _, id := range w.raft.vol().InSync {
		if l := w.legOf(id); l != nil {
			list = append(list, l)
		}
	}
	return list
}
