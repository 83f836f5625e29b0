package sim

import (
	"errors"
	"maps"
	"slices"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// What happens to a journal on its medium: entries and heads rot, and a disk that lies loses what it said was durable.
// A leg finds most of it, and fails for good. What it cannot find is told here to the row, by holding what a start
// makes of the file against what it would make of one that is well.

var (
	// errJournalRot: a checksum does not fit.
	errJournalRot = errors.New("the journal rotted")
	// errJournalCut: something is missing of what a head says was whole.
	errJournalCut = errors.New("the journal is cut short")
	// errJournalLacks: something is missing behind that of what a head, or a later entry, says was durable.
	errJournalLacks = errors.New("the journal lacks what was durable")
	// errJournalBack: a record is there whose mark is gone, so that what ended it was durable.
	errJournalBack = errors.New("the journal has a record again")
)

// rots reports whether a start would not take the entry, because it rotted.
func (e *fileEntry) rots() bool { return e.headRot || len(e.rotten) > 0 }

// lied reports whether the disk said of anything that it is durable, and it is not.
func (f *journalFile) lied() bool {
	return len(f.denied) > 0 || slices.ContainsFunc(f.entries, func(e *fileEntry) bool { return e.denied })
}

// doomed reports whether the next start will find the journal damaged, and fail the leg.
func (j *legJournal) doomed() bool {
	return j != nil && j.core == nil && (j.idle().damage != nil || j.comesBack())
}

// forgetLies makes true what a disk said: it is so after its cache was written, or lost.
func (f *journalFile) forgetLies() {
	f.denied = nil
	for _, e := range f.entries {
		if e.denied {
			e.denied, e.under = false, nil
		}
	}
}

// restore puts an entry back in its place.
func (f *journalFile) restore(e *fileEntry) {
	f.entries = slices.DeleteFunc(f.entries, func(o *fileEntry) bool { return f.overlap(o, e) })
	x := *e
	f.insert(&x)
}

// healthy returns the file as it was before anything rotted.
func (f *journalFile) healthy() *journalFile {
	c := f.clone()
	c.rotten = [2]bool{}
	for _, e := range c.entries {
		if len(e.rotten) > 0 {
			e.payload = slices.Clone(e.payload)
			for i, was := range e.rotten {
				e.payload[i] = was
			}
		}
		e.headRot, e.rotten = false, nil
	}
	return c
}

// decays reports whether a start meets something that rotted.
func (f *journalFile) decays() bool {
	return f.rotten[0] || f.rotten[1] || slices.ContainsFunc(f.entries, func(e *fileEntry) bool {
		return e.rots() && !f.dead(e)
	})
}

// view is what a start would make of the file.
func (f *journalFile) view(holes bool) *replayed {
	r := &replayed{core: journal.New(f.ring, f.head), redo: map[int64]journal.Source{}, file: f}
	r.damage = f.replay(r.core, holes)
	for _, s := range r.core.Redo() {
		r.redo[s.Block] = s
	}
	return r
}

// overlay returns what lies over a block.
func (r *replayed) overlay(b int64) []journal.Source {
	list := r.core.Overlay(nil, b, 1)
	if len(list) == 0 || list[len(list)-1].Kind == volume.RecordDelta {
		if s, ok := r.redo[b]; ok {
			list = append(list, s)
		}
	}
	return list
}

// content returns what a block of a leg would be; bad reports that nobody would know it.
func (r *replayed) content(d *disk, b int64) (c content, bad bool) {
	list := r.overlay(b)
	if len(list) == 0 {
		return d.cells[b].data, d.bad(b)
	}
	c, bad, err := r.file.assemble(d, list)
	return c, bad || err != nil
}

// records returns whether each record that counts is committed.
func (r *replayed) records() map[volume.Transaction]bool {
	out := map[volume.Transaction]bool{}
	list, _, _ := r.core.Records(0, 1<<30)
	for _, x := range list {
		out[x.Transaction] = x.Committed
	}
	return out
}

// rows returns the rows that something lies over, or is to be written to.
func (r *replayed) rows(out map[int64]bool) {
	list, _, _ := r.core.Records(0, 1<<30)
	for _, x := range list {
		for i := range x.Blocks {
			out[x.FirstBlock+i] = true
		}
	}
	for row := range r.redo {
		out[row] = true
	}
}

// based reports whether what a row holds does not depend on its home, whatever of it is taken back: a commit is written
// home anew.
func (r *replayed) based(row int64) bool {
	_, ok := r.redo[row]
	return ok
}

// missing returns the rows of a leg that are not what they would be if its journal were this one, and that nothing
// tells it; home are those of which home alone lost something.
func (l *storedLeg) missing(honest *journalFile, home []int64) map[int64]bool {
	rows := map[int64]bool{}
	if l.journal.doomed() {
		return rows
	}
	have, want := l.journal.idle(), honest.view(l.breaks(leg.BreakLogHoles))
	l.n.w.watch.noticed(l)
	for _, row := range home {
		if !have.based(row) {
			rows[row] = true
		}
	}
	seen := map[int64]bool{}
	have.rows(seen)
	want.rows(seen)
	for row := range seen {
		hc, hb := have.content(l.disk, row)
		wc, wb := want.content(l.disk, row)
		if hc != wc || hb != wb {
			rows[row] = true
		}
	}
	differ := func(a, b *replayed) {
		other := b.records()
		list, _, _ := a.core.Records(0, 1<<30)
		for _, x := range list {
			// A commit that nobody was told of, and that is not at home, is made once more.
			if committed, there := other[x.Transaction]; there && (committed == x.Committed || !l.disk.liar) {
				continue
			}
			for i := range x.Blocks {
				rows[x.FirstBlock+i] = true
			}
		}
	}
	differ(have, want)
	differ(want, have)
	return rows
}

// miss notes what a start of the leg will not find, although its disk said that it is durable. Rows that are to be
// copied before the leg counts again are awaited; of all others nobody can know which leg is wrong: they are lost.
func (l *storedLeg) miss(honest *journalFile, home []int64) {
	w := l.n.w
	if l.failed || l.excused {
		return
	}
	if h := l.journal.file.head; h.Floor.Compare(honest.head.Floor) < 0 {
		l.journal.forgot, l.journal.floor = honest.head.Floor, h.Floor
	}
	if freed := honest.head.Freed; freed.Compare(l.journal.file.head.Freed) > 0 && freed.Compare(l.journal.freed) > 0 {
		l.journal.freed = freed
	}
	copied := l.lossy() || !w.raft.inSync(l.id)
	rows := slices.Sorted(maps.Keys(l.missing(honest, home)))
	if len(rows) > 0 && !l.disk.liar {
		w.media.Open++
	}
	l.disk.decayed = l.disk.decayed || len(rows) > 0 // nothing writes anew what a power cut tore of them
	for _, row := range rows {
		if copied && l.durable.regions.Marked(regionOf(row)) {
			l.silent[row] = true
			continue
		}
		w.loseRow(row, "leg "+l.id.Short()+" lost something of it and cannot know")
	}
}

// trusted gives up the rows that were to be copied: the leg is gone on with as it is.
func (l *storedLeg) trusted() {
	for _, row := range slices.Sorted(maps.Keys(l.silent)) {
		l.n.w.loseRow(row, "leg "+l.id.Short()+" is gone on with")
	}
	clear(l.silent)
}

// loseRow leaves a row out of what is held from now on, since a disk took something of it without a trace: its blocks
// are looked at again where a whole stripe was written over them.
func (w *world) loseRow(row int64, why string) {
	if w.set.lost[row] {
		return
	}
	w.logf("row %d is lost: %s", row, why)
	w.set.lost[row] = true
	w.media.Silent++
	for _, b := range w.set.blocksOf(row) {
		w.rotten[b] = true
	}
}

// takenBack loses all of a write with each part that is lost: what a leg does not know any more that it had, every leg
// takes back, and with a full stripe what was made from it.
func (o *observer) takenBack(l *storedLeg, list []volume.Transaction) {
	w := o.w
	records, _, _ := l.journal.core.Records(0, 1<<30)
	for again := true; again; {
		again = false
		for _, r := range records {
			if !slices.Contains(list, r.Transaction) {
				continue
			}
			lost, all := w.forgotten(r), true
			for i := range r.Blocks {
				here := w.set.lost[r.FirstBlock+i]
				lost, all = lost || here, all && here
			}
			if !lost || all {
				continue
			}
			again = true
			for i := range r.Blocks {
				w.loseRow(r.FirstBlock+i, "it is of "+r.Transaction.String()+", which is taken back")
			}
		}
	}
}

// forgotten reports whether a leg that a record names lost the floor below which it lies.
func (w *world) forgotten(r volume.Record) bool {
	return slices.ContainsFunc(r.Legs, func(id volume.LegID) bool {
		l := w.legOf(id)
		return l != nil && r.Transaction.Compare(l.journal.forgot) <= 0
	})
}
