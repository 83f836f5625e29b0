package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// legJournal is the journal of a leg of parity: a real journal.Core, and what drives it in the order in which the
// leg itself does (leg/journaled.go), with the process free to die between any two steps. A read is one step, so what
// keeps the leg's readers and its writes of home apart is not simulated.
type legJournal struct {
	l    *storedLeg
	file *journalFile
	core *journal.Core // nil while no process runs
	rest *replayed     // while none runs: what a start would make of the file

	waiters    []placeWaiter
	busy       bool     // a commit, FREE, roll-back or drop is under way
	queue      []func() // those behind it
	unfinished *homeward
	direct     bool // home was written to directly since its last sync

	floor  volume.Transaction // the highest of an answered DROP
	forgot volume.Transaction // a floor that a disk lost which had said that it was durable
	freed  volume.Transaction // the same of what was freed
}

// placeWaiter waits until all entries up to a place are in the file.
type placeWaiter struct {
	place journal.Place
	run   func()
}

// homeward is what of a commit, which is durable, is to be written home.
type homeward struct {
	upTo   volume.Transaction
	sealed journal.Place // where its entry is
	blocks []journal.Source
}

// replayed is what a start would make of the journal.
type replayed struct {
	file   *journalFile
	core   *journal.Core
	redo   map[int64]journal.Source
	damage error // why it would fail for good, nil if it would not
}

// died forgets what the process knew.
func (j *legJournal) died() {
	j.core, j.rest, j.waiters, j.busy, j.queue, j.unfinished = nil, nil, nil, false, nil, nil
}

// started replays the journal before any login, as the leg does. The process may die on the way.
func (j *legJournal) started() {
	l, w := j.l, j.l.n.w
	l.n.w.logf("%s: leg %s replays its journal from %d, whole to %d", l.n.name, l.id.Short(), j.file.head.Start,
		j.file.head.Cut)
	w.watch.hold(l.excused || j.file.head.Floor.Compare(j.floor) >= 0, "floor",
		"leg %s had the floor %s, and starts with %s", l.id.Short(), j.floor, j.file.head.Floor)
	for {
		core := journal.New(j.file.ring, j.file.head)
		err := j.file.replay(core, l.breaks(leg.BreakLogHoles))
		if err == nil {
			err = unmarked(core, l.durable.regions)
		}
		if err != nil {
			j.damaged(err)
			return
		}
		j.file.synced(j.file.seq, l.disk.lying) // what was read may be in the page cache only
		redo := core.Redo()
		h := core.Started()
		j.writeHead(h, j.file.vouched)
		j.file.synced(j.file.seq, l.disk.lying)
		core.SetHead(h)
		died := w.chance(12)
		left := redo[:0]
		if died || l.n.full && w.chance(2) {
			left = redo[w.rng.IntN(len(redo)+1):]
			redo = redo[:len(redo)-len(left)]
		}
		for _, s := range redo {
			if err := j.toHome(s); err != nil { // a start has just read it
				w.fail("journal", "leg %s: %v", l.id.Short(), err)
			}
		}
		if died {
			continue
		}
		if j.unfinished = nil; len(left) > 0 { // home has no room
			core.NotHome(left)
			j.unfinished = &homeward{blocks: left}
		}
		j.core, j.rest, j.direct = core, nil, true
		return
	}
}

// damaged fails a leg for good whose journal is not what was written, which only a disk can have done.
func (j *legJournal) damaged(err error) {
	l, w := j.l, j.l.n.w
	w.watch.hold(j.file.decays() || l.disk.liar, "journal", "leg %s, whose disk is well: %v", l.id.Short(), err)
	w.logf("%s: leg %s fails for good: %v", l.n.name, l.id.Short(), err)
	w.media.FailedStart++
	switch {
	case errors.Is(err, errJournalLacks):
		w.media.Told++
	case errors.Is(err, errJournalBack):
		w.media.Back++
	}
	l.failed = true
	l.core.Fail(block.ErrFailed)
	l.core.Effects()
}

func (l *storedLeg) breaks(r leg.Rules) bool { return l.n.w.opts.Broken.Leg&r != 0 }

// toHome writes one block of a commit home.
func (j *legJournal) toHome(s journal.Source) error {
	d := j.l.disk
	if s.Kind == 0 { // nobody knows what it holds, and no start may take it for a write that was under way
		d.putSum(s.Block, max(^sumOf(s.Block, d.cells[s.Block].data), sumBusy+1))
		return nil
	}
	c, err := j.file.block(s)
	if err != nil {
		return j.unreadable(err, &j.l.n.w.media.FailedCommit)
	}
	d.put(s.Block, c)
	d.end(s.Block, sumOf(s.Block, c))
	return nil
}

// unreadable is what a leg makes of a payload that it needs and cannot read: it has failed for good. met counts it.
func (j *legJournal) unreadable(err error, met *int) error {
	w := j.l.n.w
	if !errors.Is(err, errJournalRot) {
		w.fail("journal", "leg %s: %v", j.l.id.Short(), err)
	}
	*met++
	w.logf("%s: leg %s: %v", j.l.n.name, j.l.id.Short(), err)
	return fmt.Errorf("%w: %w", block.ErrFailed, err)
}

// idle returns what a start would make of the journal as it is.
func (j *legJournal) idle() *replayed {
	if j.rest == nil {
		j.rest = j.file.view(j.l.breaks(leg.BreakLogHoles))
	}
	return j.rest
}

// now returns the core, or what a start would make of the file.
func (j *legJournal) now() *journal.Core {
	if j.core != nil {
		return j.core
	}
	return j.idle().core
}

// overlay returns what lies over a block.
func (j *legJournal) overlay(b int64) []journal.Source {
	if j.core == nil {
		return j.idle().overlay(b)
	}
	return j.core.Overlay(nil, b, 1)
}

// assemble makes the content of a block of its sources; bad reports that nobody knows it, the error that a payload
// which it takes cannot be read.
func (f *journalFile) assemble(d *disk, sources []journal.Source) (c content, bad bool, err error) {
	base := sources[len(sources)-1]
	switch base.Kind {
	case volume.RecordDelta:
		bad, c = d.bad(base.Block), d.cells[base.Block].data
	case volume.RecordImage:
		if c, err = f.block(base); err != nil {
			return content{}, true, err
		}
		sources = sources[:len(sources)-1]
	default:
		return content{}, true, nil
	}
	for _, s := range sources {
		delta, err := f.block(s)
		if err != nil {
			return content{}, true, err
		}
		c = added(c, delta)
	}
	return c, bad, nil
}

// holds returns the content of a block of the leg, whatever of it is at home; bad reports that it is not what was
// written, or that the leg will fail when it reads it.
func (l *storedLeg) holds(b int64) (c content, bad bool) {
	c, bad, err := l.content(b)
	if err != nil && !errors.Is(err, errJournalRot) {
		l.n.w.fail("journal", "leg %s: %v", l.id.Short(), err)
	}
	return c, bad || err != nil
}

func (l *storedLeg) content(b int64) (c content, bad bool, err error) {
	if l.journal != nil {
		if list := l.journal.overlay(b); len(list) > 0 {
			return l.journal.file.assemble(l.disk, list)
		}
	}
	return l.disk.cells[b].data, l.disk.bad(b), nil
}

// put writes an entry that has its place, and goes on once it and all before it are in the file.
func (j *legJournal) put(e journal.Entry, payload []content, done func()) {
	n, told := j.l.n, j.file.vouched
	n.disk(n.w.pick(2*time.Millisecond), func() {
		n.w.watch.vouches(j, e.Durable)
		j.file.write(&fileEntry{Entry: e, payload: payload, told: told})
		j.core.Whole(e.Place)
		j.whenWhole(e.End(), done)
		j.wake()
	})
}

func (j *legJournal) whenWhole(p journal.Place, run func()) {
	if j.core.WholeTo() >= p {
		run()
		return
	}
	j.waiters = append(j.waiters, placeWaiter{p, run})
}

func (j *legJournal) wake() {
	for i := 0; i < len(j.waiters); {
		if x := j.waiters[i]; j.core.WholeTo() >= x.place {
			j.waiters = slices.Delete(j.waiters, i, i+1)
			x.run()
			i = 0
			continue
		}
		i++
	}
}

// sync puts every entry that counts on the medium. What is written from now on is evidence of that.
func (j *legJournal) sync(done func(error)) {
	whole := j.core.WholeTo()
	j.syncFile(func(err error) {
		if err == nil {
			j.core.Synced(whole)
			j.file.vouch(whole)
		}
		done(err)
	})
}

// syncFile puts everything that is in the file on the medium.
func (j *legJournal) syncFile(done func(error)) {
	n, seq := j.l.n, j.file.seq
	n.disk(n.w.pick(3*time.Millisecond), func() {
		if n.blunt {
			n.blunt = false
			done(block.ErrFailed)
			return
		}
		j.file.synced(seq, j.l.disk.lying)
		done(nil)
	})
}

// flush is FLUSH: the journal, and home where it was written to directly.
func (j *legJournal) flush(done func(error)) {
	j.sync(func(err error) {
		if err != nil {
			done(err)
			return
		}
		j.syncDirect(done)
	})
}

func (j *legJournal) syncDirect(done func(error)) {
	if !j.direct {
		done(nil)
		return
	}
	j.direct = false
	j.l.flush(func(err error) {
		j.direct = j.direct || err != nil
		done(err)
	})
}

// refused gives a refusal of the core the meaning that it has for an engine. The engine of a leg that has its epoch
// never earns one.
func (j *legJournal) refused(what string, err error) error {
	j.l.n.w.watch.hold(false, "refused", "leg %s: %s: %v", j.l.id.Short(), what, err)
	if errors.Is(err, journal.ErrFull) {
		return fmt.Errorf("%w: %w", block.ErrNoSpace, err)
	}
	return fmt.Errorf("%w: %w", leg.ErrInvalid, err)
}

// stage puts a record into the journal and answers once it counts.
func (t *task) stage() {
	j, w := t.l.journal, t.l.n.w
	w.watch.applied(t)
	r := t.r.x.Record(w.set.layout)
	if t.r.x.Stage.Repair {
		w.set.repairs[r.Transaction] = true
	}
	e, err := j.core.Stage(r, payloadSums(t.r.data))
	w.logf("%s: leg %s stages %s %s [%d,+%d) at %d: %v", t.l.n.name, t.l.id.Short(), r.Transaction, r.Kind,
		r.FirstBlock, r.Blocks, e.Place, err)
	switch {
	case errors.Is(err, journal.ErrThere):
		j.whenWhole(j.core.Tail(), t.staged)
	case err != nil:
		t.leave(answer{err: j.refused("STAGE", err)})
	default:
		j.put(e, t.r.data, t.staged)
	}
}

func (t *task) staged() {
	if t.l.durable.label.Durability != volume.DurabilitySync {
		t.leave(answer{})
		return
	}
	t.l.journal.sync(func(err error) { t.leave(answer{err: err}) })
}
