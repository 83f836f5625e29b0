package sim

import (
	"errors"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

func (l *storedLeg) sessionIDs() []leg.SessionID {
	ids := make([]leg.SessionID, 0, len(l.sessions))
	for id := range l.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// wait gives the core an event whose answer comes later.
func (l *storedLeg) wait(event func(leg.OpID), answered func(leg.Effect)) {
	l.lastOp++
	l.waiters[l.lastOp] = answered
	event(l.lastOp)
	l.do()
}

// do carries out what the core asks for.
func (l *storedLeg) do() {
	n := l.n
	for _, e := range l.core.Effects() {
		switch e.Kind {
		case leg.EffectReply:
			if f := l.waiters[e.Op]; f != nil {
				delete(l.waiters, e.Op)
				f(e)
			}
		case leg.EffectKill:
			l.kill(e.Session)
		case leg.EffectPersist:
			l.persist(e)
		case leg.EffectSync:
			op := e.Op
			l.flushAll(func(err error) {
				l.core.Synced(op, err)
				l.do()
			})
		case leg.EffectFailed:
			n.w.logf("%s: the leg failed for good: %v", n.name, e.Err)
			l.failed = true
		}
	}
}

// kill ends a session of the leg's own accord; its owner says that it is gone a little later.
func (l *storedLeg) kill(id leg.SessionID) {
	s := l.sessions[id]
	if s == nil {
		return
	}
	s.closeAtNode(errLost)
	l.n.disk(l.n.w.latency(), func() {
		if l.core != nil && l.sessions[id] == s {
			delete(l.sessions, id)
			l.core.SessionClosed(id)
			l.do()
		}
	})
}

// flushAll puts on the medium what marks and a clean end speak of: the journal first, then what is at home.
func (l *storedLeg) flushAll(done func(error)) {
	if l.journal == nil {
		l.flush(done)
		return
	}
	l.journal.sync(func(err error) {
		if err != nil {
			done(err)
			return
		}
		l.flush(done)
	})
}

// flush puts the data on the medium; what is written after it began is not covered.
func (l *storedLeg) flush(done func(error)) {
	n, seq := l.n, l.disk.seq
	n.disk(n.w.pick(3*time.Millisecond), func() {
		if n.blunt {
			n.blunt = false
			done(block.ErrFailed)
			return
		}
		l.disk.flushed(seq)
		done(nil)
	})
}

// task is one request inside a node, from its arrival to its answer.
type task struct {
	l      *storedLeg
	s      *session
	r      *request
	first  int64 // block
	blocks int64
	ticket leg.Ticket
}

func (l *storedLeg) newTask(s *session, r *request) *task {
	return &task{l: l, s: s, r: r, first: r.x.Range.Off / blockBytes, blocks: r.x.Range.Len / blockBytes}
}

// enter passes the gate, making the mark durable first where a change needs it.
func (t *task) enter() {
	verdict, err := t.l.enter(t, t.r.x.Op.Changes(), t.r.x.Range)
	switch verdict {
	case leg.Admit:
		t.l.n.w.watch.admitted(t)
		t.run()
	case leg.NeedMark:
		t.l.wait(func(op leg.OpID) { t.l.mark(op, t.s.id, t.r.x.Range) }, func(e leg.Effect) {
			if e.Err != nil {
				t.reply(answer{err: e.Err})
				return
			}
			t.enter()
		})
	default:
		t.reply(answer{err: err})
	}
}

// run does what was admitted: the disk decides when.
func (t *task) run() {
	n, w := t.l.n, t.l.n.w
	took := w.pick(time.Millisecond)
	if w.chance(30) {
		took = w.pick(40 * time.Millisecond)
	}
	n.disk(took, func() {
		if n.eio && w.chance(4) {
			t.fail()
			return
		}
		switch {
		case t.r.x.Stage != nil:
			t.stage()
		case t.r.x.Op == block.OpRead:
			t.read()
		case t.r.x.Op == block.OpFlush && t.l.journal != nil:
			t.l.journal.flush(func(err error) { t.leave(answer{err: err}) })
		case t.r.x.Op == block.OpFlush:
			t.l.flush(func(err error) { t.leave(answer{err: err}) })
		default:
			t.write()
		}
	})
}

// fail is a disk that reports an error: a read may go well elsewhere, a write that failed may have lost
// more than itself.
func (t *task) fail() {
	t.l.n.w.diskErrorAt = t.l.n.w.now
	if t.r.x.Op == block.OpRead {
		for i := range t.blocks {
			t.l.unread[t.first+i] = t.s.h.epoch
		}
		t.leave(answer{err: block.ErrMedium})
		return
	}
	t.leave(answer{err: block.ErrFailed})
}

func (t *task) read() {
	data := make([]content, t.blocks)
	for i := range data {
		c, bad, err := t.l.content(t.first + int64(i))
		if err != nil {
			t.leave(answer{err: t.l.journal.unreadable(err, &t.l.n.w.media.FailedRead)})
			return
		}
		if bad {
			t.leave(answer{err: block.ErrMedium})
			return
		}
		data[i] = c
	}
	t.leave(answer{data: data})
}

// write puts the data into the page cache: under way, data, checksums final. It may take several
// steps, between which the process may die.
func (t *task) write() {
	d, w := t.l.disk, t.l.n.w
	t.l.n.w.watch.applied(t)
	if j := t.l.journal; j != nil {
		if j.core.Touches(t.first, t.blocks) {
			t.leave(answer{err: j.refused("WRITE", errRecords)})
			return
		}
		defer func() { j.direct = true }()
	}
	old := make([]uint32, t.blocks)
	for i := range t.blocks {
		old[i] = d.cells[t.first+i].sum
		d.begin(t.first + i)
	}
	stored := t.blocks
	if t.l.n.full && t.r.x.Op == block.OpWrite {
		stored = w.rng.Int64N(t.blocks)
	}
	half := stored
	if w.chance(4) {
		half = w.rng.Int64N(stored + 1)
	}
	t.store(0, half)
	rest := func() {
		t.store(half, stored)
		if t.l.journal != nil {
			t.l.journal.direct = true
		}
		for i := range t.blocks {
			b := t.first + i
			if i < stored {
				d.end(b, sumOf(b, d.cells[b].data))
			} else {
				d.end(b, old[i]) // what was bad stays bad
			}
		}
		if stored < t.blocks {
			w.diskErrorAt = w.now
			t.settle(block.ErrNoSpace)
			return
		}
		t.settle(nil)
	}
	if half < stored {
		t.l.n.disk(w.pick(time.Millisecond), rest)
		return
	}
	rest()
}

// errRecords is why home is not written to directly.
var errRecords = errors.New("a record that is not freed touches these blocks")

func (t *task) store(from, to int64) {
	for i := from; i < to; i++ {
		c := content{}
		if t.r.data != nil {
			c = t.r.data[i]
		}
		t.l.disk.put(t.first+i, c)
	}
}

// settle makes a change durable where its flags or the durability class ask for it.
func (t *task) settle(outcome error) {
	sync := t.l.durable.label.Durability == volume.DurabilitySync
	if !sync && (outcome != nil || t.r.x.Flags&block.FUA == 0) {
		t.leave(answer{err: outcome})
		return
	}
	t.l.flush(func(err error) { t.leave(answer{err: errors.Join(outcome, err)}) })
}

// leave ends the request inside the gate. A failure that loses writes fails the leg for good first.
func (t *task) leave(a answer) {
	l := t.l
	if a.err != nil && !errors.Is(a.err, block.ErrMedium) && errors.Is(a.err, block.ErrFailed) {
		l.core.Fail(a.err)
	}
	l.leave(t)
	if failed := l.core.Failed(); a.err == nil && failed != nil {
		a = answer{err: failed}
	}
	l.do()
	t.reply(a)
}

func (t *task) reply(a answer) {
	if errors.Is(a.err, block.ErrClosed) {
		a.err = errLost
	}
	t.l.n.w.watch.replied(t, a.err)
	t.s.answer(t.r, a)
}

// command carries out an in-band command.
func (l *storedLeg) command(s *session, r *request) {
	c := r.x.Command
	reply := func(e leg.Effect) { l.answerCommand(s, r, mirror.Reply{}, e.Err) }
	progressed := func(e leg.Effect) {
		seq := uint64(0)
		if l.core != nil {
			seq = l.core.Durable().Progress
		}
		l.answerCommand(s, r, mirror.Reply{Seq: seq}, e.Err)
	}
	switch c.Kind {
	case mirror.CommandConfig:
		l.wait(func(op leg.OpID) { l.core.Config(op, s.id, s.h.epoch, c.Config) }, reply)
	case mirror.CommandRotate:
		gen, err := l.core.Rotate(s.id)
		l.do()
		l.answerCommand(s, r, mirror.Reply{Generation: gen, Seq: l.core.Durable().Progress}, err)
	case mirror.CommandStable:
		if l.journal != nil && l.journal.core != nil {
			l.journal.core.Ranges(func(first, blocks int64) {
				l.core.Hold(block.Range{Off: first * blockBytes, Len: blocks * blockBytes})
			})
		}
		l.wait(func(op leg.OpID) { l.core.Stable(op, s.id, c.Generation) }, progressed)
	case mirror.CommandMarks:
		page, err := l.core.Marks(s.id, c.Since, 0)
		l.answerCommand(s, r, l.marks(page), err)
	case mirror.CommandSums:
		l.newRangeTask(s, r).checksums()
	case mirror.CommandRecords, mirror.CommandCommit, mirror.CommandFree, mirror.CommandRollback,
		mirror.CommandDrop:
		(&task{l: l, s: s, r: r}).journalCommand()
	case mirror.CommandDetachLeg:
		l.wait(func(op leg.OpID) { l.core.Detach(op, s.id, c.Clean) }, progressed)
	default:
		l.extraCommand(s, r)
	}
}

func (l *storedLeg) answerCommand(s *session, r *request, out mirror.Reply, err error) {
	if errors.Is(err, block.ErrClosed) {
		err = errLost
	}
	l.n.w.watch.commanded(l, r.x.Command.Kind, err)
	s.answer(r, answer{reply: out, err: err})
}

// marks makes the ranges of a page of MARKS.
func (l *storedLeg) marks(page inband.MarksPage) mirror.Reply {
	var out mirror.Reply
	whole := block.Range{Len: l.durable.label.LegBytes()}
	for _, run := range page.Runs {
		r := block.Range{Off: int64(run.First) * volume.RegionBytes, Len: int64(run.Count) * volume.RegionBytes}
		r = r.Intersect(whole)
		if run.Marked {
			out.Marked = append(out.Marked, r)
		}
		if run.Newer {
			out.Newer = append(out.Newer, r)
		}
	}
	return out
}

func (l *storedLeg) newRangeTask(s *session, r *request) *task {
	rng := r.x.Command.Range
	return &task{l: l, s: s, r: r, first: rng.Off / blockBytes, blocks: rng.Len / blockBytes}
}

// checksums answers CHECKSUMS: sums of what is there, and which blocks are not what was written.
func (t *task) checksums() {
	verdict, err := t.l.enter(t, false, t.r.x.Command.Range)
	if verdict != leg.Admit {
		t.l.answerCommand(t.s, t.r, mirror.Reply{}, err)
		return
	}
	t.l.n.disk(t.l.n.w.pick(time.Millisecond), func() {
		out := mirror.Reply{Sums: make([]uint32, t.blocks)}
		for i := range out.Sums {
			b := t.first + int64(i)
			c, bad, err := t.l.content(b)
			if err != nil {
				t.leave(answer{err: t.l.journal.unreadable(err, &t.l.n.w.media.FailedRead)})
				return
			}
			out.Sums[i] = sumOf(0, c)
			if bad {
				out.Bad = append(out.Bad, uint32(i))
			}
		}
		t.leave(answer{reply: out})
	})
}
