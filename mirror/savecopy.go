package mirror

import (
	"errors"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// saveJob keeps with the coordinators how far the copy onto a leg has come that never was in sync, so that
// the next join of the leg (after a restart of its node, of the engine, or a takeover) goes on there:
//
//	ROTATE on the leg → every write sent before has ended → flush the leg → STABLE on it → ConfirmCopy
//
// ConfirmCopy makes a new configuration. What is written once that is on every leg is newer than Since of the
// claim that comes next, so that a leg which misses a write after it fell out finds the region among the
// source's newer ones. STABLE may go to this joining leg, and to no other [M:stableJoining]: of what is not
// saved its marks are no part of the copy set, since it is copied in full, and of what is saved the marks
// that it brought along have been copied before the first STABLE (own). The claim needs no session, boot or
// epoch to stay true: what the leg may lose of it is under marks that are durable, and those are part of the
// copy set of the next join [M:noOwnMarks].
type saveJob struct {
	step    saveStep
	off     bool          // nothing is kept of this join
	done    Copied        // what the coordinators have
	next    Copied        // what they are asked to keep
	base    volume.CfgVer // every write with an older version on any leg was dispatched up to now
	own     int64         // below this the leg's own marks have to be copied before one of them is cleared
	through uint64        // writes up to this one are covered
	gen     uint64        // of the leg's marks
	flushed bool
	cfg     volume.CfgVer // that ConfirmCopy names, zero before the first question
	dueAt   time.Duration
	retryAt time.Duration
}

type saveStep uint8

const (
	saveIdle saveStep = iota
	saveRotating
	saveWaiting
	saveFlushing
	saveStabling
	saveAsking
)

// saveRef marks the commands to a leg that a saveJob sent; the rest is the number of the join.
const saveRef = uint64(1) << 63

// resume returns since when what was saved of the leg has to be compared, and takes the rest into the copy set.
// Zero means that nothing is known of it.
func (c *Core) resume(g *leg) volume.CfgVer {
	j := &c.join
	s := &j.save
	s.own = 0
	if g.setBack {
		s.off = true
		return 0
	}
	if s.done.Upto == 0 || s.done.Since == 0 {
		return 0
	}
	j.set.add(block.Range{Off: s.done.Upto, Len: max(0, c.legBytes()-s.done.Upto)})
	return s.done.Since
}

// noteOwn notes a mark that the leg brought along.
func (s *saveJob) noteOwn(m block.Range) {
	if m.Off < s.done.Upto {
		s.own = max(s.own, min(m.End(), s.done.Upto))
	}
}

// copiedUpto returns how many bytes from the beginning are copied, or need not be.
func (c *Core) copiedUpto() int64 {
	set := &c.join.set
	return min(set.firstOpen()*set.bytes, c.legBytes())
}

// saveDue reports whether it is time to save how far the copy has come.
func (c *Core) saveDue() bool {
	j := &c.join
	s := &j.save
	g := c.leg(j.leg)
	if s.off || j.set.left == 0 || g.copySince() != 0 || s.base < 2 {
		return false
	}
	if c.now < s.dueAt {
		c.wake(s.dueAt)
		return false
	}
	upto := c.copiedUpto()
	return upto > s.done.Upto && upto >= s.own && c.reconcile.set.left == 0 && c.usable(j.leg) && c.configured()
}

// settleSave takes the next step that has become possible.
func (c *Core) settleSave() {
	j := &c.join
	s := &j.save
	if c.configured() {
		s.base = max(s.base, c.kcfg.CfgVer)
	}
	switch s.step {
	case saveIdle:
		if c.saveDue() {
			s.step, s.next = saveRotating, Copied{Upto: c.copiedUpto(), Since: s.base - 1}
			c.callLeg(j.leg, &Command{Kind: CommandRotate}, nil, saveRef|j.number)
		}
	case saveWaiting:
		if c.writtenThrough(s.through) || c.breaks(BreakSaveEarly) { // [M:saveEarly]
			s.step, s.flushed = saveFlushing, false
			c.flushFor(flushSave, only(j.leg), j.number)
		}
	case saveFlushing:
		if s.flushed {
			s.step = saveStabling
			c.leg(j.leg).shown.cleared = s.through
			c.callLeg(j.leg, &Command{Kind: CommandStable, Generation: s.gen}, nil, saveRef|j.number)
		}
	case saveAsking:
		c.askSave()
	}
}

// saves reports whether an answer is about the saving that is under way.
func (c *Core) saves(k call, step saveStep) bool {
	return c.join.active && k.ref == saveRef|c.join.number && c.join.save.step == step
}

func (c *Core) onSaveRotate(k call, err error, r *Reply) {
	c.note(workJoin)
	if err != nil {
		c.saveFailed(k)
		c.legCallFailed(k, err)
		return
	}
	c.labelSeq(k.leg, r.Seq)
	if c.saves(k, saveRotating) {
		s := &c.join.save
		s.step, s.gen, s.through = saveWaiting, r.Generation, c.seq
	}
}

func (c *Core) onSaveStable(k call, err error, r *Reply) {
	c.note(workJoin)
	if err != nil {
		c.saveFailed(k)
		c.legCallFailed(k, err)
		return
	}
	c.labelSeq(k.leg, r.Seq)
	if c.saves(k, saveStabling) {
		c.join.save.step, c.join.save.cfg = saveAsking, 0
	}
}

// saveFailed gives one saving up. Marks that were cleared are no loss: what they told is copied.
func (c *Core) saveFailed(k call) {
	if c.join.active && k.ref == saveRef|c.join.number {
		c.endSave(c.timing().CopySave)
	}
}

// endSave ends a saving; the next one is due after pause.
func (c *Core) endSave(pause time.Duration) {
	s := &c.join.save
	s.step, s.dueAt = saveIdle, c.now+pause
	c.wake(s.dueAt)
}

// askSave asks the coordinators to keep the claim. The same question is asked until it is answered, for it may
// have been committed: then the configuration is newer than the engine knows.
func (c *Core) askSave() {
	j := &c.join
	s := &j.save
	if c.asking(CommandConfirmCopy) || s.retryAt > c.now || !c.usable(j.leg) {
		return
	}
	if s.cfg == 0 {
		s.cfg = c.kcfg.CfgVer
	}
	r := &c.leg(j.leg).report
	c.ask(j.leg, &Command{Kind: CommandConfirmCopy, CfgVer: s.cfg, Store: r.Label.StoreID, Instance: r.Instance,
		Copied: s.next, Seqs: c.labelSeqs(only(j.leg))}, saveRef|j.number)
}

func (c *Core) onConfirmCopy(k call, err error, r *Reply) {
	c.note(workJoin | workChange)
	if err == nil || errors.Is(err, ErrRetry) {
		c.adopt(r.Config)
	}
	if !c.saves(k, saveAsking) {
		return
	}
	s := &c.join.save
	switch {
	case err == nil:
		s.done = s.next
		c.endSave(c.timing().CopySave)
	case errors.Is(err, ErrRetry):
		c.endSave(c.timing().Retry)
	case errors.Is(err, ErrWait):
		s.off = true
		c.endSave(c.timing().CopySave)
	default:
		s.retryAt = c.retryLater()
	}
}
