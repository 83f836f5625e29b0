package sim

import (
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// journalCommand takes a command of the journal through the gate.
func (t *task) journalCommand() {
	c, j := t.r.x.Command, t.l.journal
	if j == nil {
		t.l.answerCommand(t.s, t.r, mirror.Reply{}, block.ErrUnsupported)
		return
	}
	verdict, err := t.l.enter(t, false, block.Range{})
	if verdict != leg.Admit {
		t.l.answerCommand(t.s, t.r, mirror.Reply{}, err)
		return
	}
	done := func(err error) {
		t.l.n.w.logf("%s: leg %s did %s up to %s of %v: %v", t.l.n.name, t.l.id.Short(), c.Kind, c.UpTo, c.List, err)
		if err == nil {
			t.l.n.w.watch.journalDone(t.l, c)
		}
		t.leave(answer{err: err})
	}
	t.l.n.disk(t.l.n.w.pick(time.Millisecond), func() {
		switch c.Kind {
		case mirror.CommandRecords:
			out := volume.Records{Floor: j.core.Head().Floor}
			out.Records, _, _ = j.core.Records(0, 1<<30)
			for i := range out.Records {
				out.Records[i].Legs = append([]volume.LegID(nil), out.Records[i].Legs...)
			}
			t.l.n.w.logf("%s: leg %s has %s", t.l.n.name, t.l.id.Short(), recordsText(out))
			t.leave(answer{reply: mirror.Reply{Records: &out}})
		case mirror.CommandCommit:
			j.turn(done, func(done func(error)) { j.commit(c.UpTo, done) })
		case mirror.CommandFree:
			t.mayFree()
		case mirror.CommandRollback:
			t.l.n.w.watch.takenBack(t.l, c.List)
			j.turn(done, func(done func(error)) { j.rollback(c.List, done) })
		default:
			j.turn(done, func(done func(error)) { j.drop(c.UpTo, done) })
		}
	})
}

// recordsText says for a trace what a leg has.
func recordsText(r volume.Records) string {
	text := "floor " + r.Floor.String()
	for _, x := range r.Records {
		text += fmt.Sprintf(", %s %s [%d,+%d) committed %v", x.Transaction, x.Kind, x.FirstBlock, x.Blocks, x.Committed)
	}
	return text
}

// turn runs what there is one of at a time.
func (j *legJournal) turn(done func(error), run func(done func(error))) {
	if j.busy {
		j.queue = append(j.queue, func() { j.turn(done, run) })
		return
	}
	j.busy = true
	run(func(err error) {
		j.busy = false
		done(err)
		if j.core != nil && len(j.queue) > 0 {
			next := j.queue[0]
			j.queue = j.queue[1:]
			next()
		}
	})
}

// commit commits all staged records up to a transaction: durably, and then at home.
func (j *legJournal) commit(upTo volume.Transaction, done func(error)) {
	j.writeHome(func(err error) {
		if err != nil {
			done(err)
			return
		}
		j.whenWhole(j.core.Bar(upTo), func() {
			x := j.core.Commit(upTo)
			if x == nil {
				done(nil)
				return
			}
			j.l.n.w.watch.commits(j.l, upTo)
			j.merge(x, x.Sources, func(err error) { j.seal(x, err, done) })
		})
	})
}

// merge writes the after-images of a commit, one entry for blocks that lie together.
func (j *legJournal) merge(x *journal.Commit, sources []journal.Source, done func(error)) {
	var first int64
	var images []content
	for len(sources) > 0 {
		n := 1
		for n < len(sources) && sources[n].Block == sources[0].Block {
			n++
		}
		if sources[0].Kind == volume.RecordDelta {
			if len(images) > 0 && (first+int64(len(images)) != sources[0].Block ||
				len(images) == volume.MaxRecordBlocks) {
				break
			}
			c, bad, err := j.file.assemble(j.l.disk, sources[:n])
			if err != nil {
				done(j.unreadable(err, &j.l.n.w.media.FailedCommit))
				return
			}
			if bad && len(images) > 0 {
				break
			}
			if !bad {
				if len(images) == 0 {
					first = sources[0].Block
				}
				images = append(images, c)
			}
		}
		sources = sources[n:]
	}
	if len(images) == 0 {
		done(nil)
		return
	}
	e, err := j.core.AfterImage(x, first, payloadSums(images))
	if err != nil {
		done(j.refused("COMMIT", err))
		return
	}
	j.put(e, images, func() { j.merge(x, sources, done) })
}

// seal makes a commit durable, and a head that says so, then writes it home.
func (j *legJournal) seal(x *journal.Commit, err error, done func(error)) {
	var e journal.Entry
	if err == nil {
		if e, err = j.core.Seal(x); err != nil {
			err = j.refused("COMMIT", err)
		}
	}
	if err != nil {
		j.core.Abandon(x)
		done(err)
		return
	}
	sealed := func(err error) {
		if err != nil {
			done(err)
			return
		}
		j.unfinished = &homeward{upTo: x.UpTo, sealed: e.Place, blocks: j.core.Sealed(x)}
		j.writeHome(func(err error) {
			if err != nil || !j.l.breaks(leg.BreakMergeLate) {
				done(err)
				return
			}
			j.sync(done)
		})
	}
	j.put(e, nil, func() {
		if j.l.breaks(leg.BreakMergeLate) {
			sealed(nil)
			return
		}
		j.sync(func(err error) {
			if err != nil {
				sealed(err)
				return
			}
			j.setHead(j.core.Proof(), false, sealed)
		})
	})
}

// writeHome writes home what the last commit has left to write.
func (j *legJournal) writeHome(done func(error)) {
	u, w := j.unfinished, j.l.n.w
	if u == nil {
		done(nil)
		return
	}
	if len(u.blocks) == 0 {
		j.core.Finish()
		j.unfinished = nil
		done(nil)
		return
	}
	n := 1 + w.rng.IntN(len(u.blocks))
	j.l.n.disk(w.pick(time.Millisecond), func() {
		if j.unfinished != u {
			done(nil)
			return
		}
		if j.l.n.full && w.chance(2) {
			w.diskErrorAt = w.now
			done(block.ErrNoSpace)
			return
		}
		w.watch.goesHome(j.l, u)
		for i, s := range u.blocks[:n] {
			if err := j.toHome(s); err != nil {
				u.blocks = u.blocks[i:]
				done(err)
				return
			}
			j.core.AtHome(s.Block, 1)
		}
		u.blocks = u.blocks[n:]
		if len(u.blocks) > 0 && w.chance(3) { // the process may die in the middle of a block
			j.l.disk.begin(u.blocks[0].Block)
		}
		j.writeHome(done)
	})
}

// mayFree is the first half of FREE: what is committed is at home, and home is synced outside of the gate, so that no
// login waits for that.
func (t *task) mayFree() {
	j, c := t.l.journal, t.r.x.Command
	_, some, err := j.core.PlanFree(c.UpTo)
	if err != nil {
		t.leave(answer{err: j.refused("FREE", err)})
		return
	}
	t.l.leave(t)
	t.l.do()
	synced := func(err error) {
		switch {
		case err != nil:
			t.l.core.Fail(err)
			t.l.do()
			t.reply(answer{err: err})
		case !some:
			t.reply(answer{})
		default:
			t.free()
		}
	}
	switch {
	case !some:
		j.syncDirect(synced)
	case t.l.breaks(leg.BreakFreeUnflushed):
		synced(nil)
	default:
		j.direct = false
		t.l.flush(synced)
	}
}

// free is the second half: what is durable at home is forgotten.
func (t *task) free() {
	j, c := t.l.journal, t.r.x.Command
	verdict, err := t.l.enter(t, false, block.Range{})
	if verdict != leg.Admit {
		t.reply(answer{err: err})
		return
	}
	j.turn(func(err error) { t.leave(answer{err: err}) }, func(done func(error)) {
		h, ok, err := j.core.PlanFree(c.UpTo)
		switch {
		case err != nil:
			done(j.refused("FREE", err))
		case !ok:
			done(nil)
		default:
			j.setHead(h, false, done)
		}
	})
}

// writeHead writes a head, told of what its process knows.
func (j *legJournal) writeHead(h journal.Head, told int) {
	j.l.n.w.watch.vouches(j, h.Durable)
	j.file.writeHead(h, told)
}

// setHead makes a head durable.
func (j *legJournal) setHead(h journal.Head, drop bool, done func(error)) {
	n, told := j.l.n, j.file.vouched
	n.disk(n.w.pick(time.Millisecond), func() {
		n.w.watch.forgets(j.l, h)
		j.writeHead(h, told)
		j.syncFile(func(err error) {
			if err == nil {
				if drop {
					j.unfinished = nil
					j.core.Dropped(h)
				}
				j.core.SetHead(h)
			}
			done(err)
		})
	})
}

// rollback takes staged records back, all or none of the list.
func (j *legJournal) rollback(list []volume.Transaction, done func(error)) {
	e, ok, err := j.core.Rollback(list)
	switch {
	case err != nil:
		done(j.refused("ROLLBACK", err))
	case !ok:
		done(nil)
	default:
		j.put(e, nil, func() {
			j.sync(func(err error) {
				if err == nil {
					j.core.RolledBack(list)
				}
				done(err)
			})
		})
	}
}

// drop forgets all records, and keeps the floor in their place.
func (j *legJournal) drop(floor volume.Transaction, done func(error)) {
	j.whenWhole(j.core.Bar(floor), func() {
		h, err := j.core.PlanDrop(floor)
		if err != nil {
			done(j.refused("DROP", err))
			return
		}
		if j.l.breaks(leg.BreakForgetFloor) {
			h.Floor = j.file.head.Floor
		}
		j.setHead(h, true, done)
	})
}
