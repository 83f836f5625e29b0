package mirror

import "github.com/holdfast-storage/holdfast/block"

// flushPurpose says for whom a flush is.
type flushPurpose uint8

const (
	flushGuest   flushPurpose = iota // of the guest, or of an orderly end: every leg of ack_set
	flushJoin                        // of a joining leg, before AddLeg
	flushSave                        // of a joining leg, before how far it is copied is saved
	flushClear                       // of ack_set, before STABLE
	flushEnd                         // of ack_set, before an unclean DETACH
	flushRound                       // of a set of parity: of all that get records, before COMMIT
	flushRecover                     // of a set of parity: of S', before RECORDS
)

// ofJoin reports whether the flush is of a joining leg alone.
func (p flushPurpose) ofJoin() bool { return p == flushJoin || p == flushSave }

// startFlush sends a flush to targets. It covers every write that was acknowledged before, because
// those writes have been answered by every leg of ack_set.
func (c *Core) startFlush(o *op, targets legSet) {
	o.verb, o.io, o.targets, o.sentAt = block.OpFlush, block.Range{}, targets, max(c.now, 1)
	c.flushes.push(o)
	for s := targets; s != 0; s = s.rest() {
		c.send(o, s.first())
	}
}

// flushFor starts a flush of the engine's own; ref is the number of the job that wants it.
func (c *Core) flushFor(p flushPurpose, targets legSet, ref uint64) {
	o := c.newOp(opFlush)
	o.purpose, o.seq = p, ref
	c.startFlush(o, targets)
}

// advanceFlush ends a flush when every leg of ack_set answered it [M:flushEarly]; one that does not
// is removed first, and CONFIG is everywhere before the flush counts.
func (c *Core) advanceFlush(o *op) {
	done := c.removed == 0 && c.ack != 0 && c.ack.within(o.answered)
	if o.purpose.ofJoin() {
		done = o.targets.within(o.answered)
	}
	if o.purpose == flushRound {
		done = done && o.targets.within(o.answered)
	}
	if c.breaks(BreakFlushEarly) && o.purpose == flushGuest {
		done = o.answered != 0
	}
	if !done {
		return
	}
	failed := o.purpose.ofJoin() && o.targets == 0
	purpose, ref := o.purpose, o.seq
	if purpose == flushGuest {
		c.complete(o, nil)
	}
	c.retire(o)
	if !failed {
		c.flushed(purpose, ref)
	}
}

// flushed goes on after a flush of the engine's own, unless the job that wanted it was given up.
func (c *Core) flushed(p flushPurpose, ref uint64) {
	switch {
	case p == flushJoin && ref == c.join.number:
		c.join.flushed = true
		c.note(workJoin)
	case p == flushSave && ref == c.join.number:
		c.join.save.flushed = true
		c.note(workJoin)
	case p == flushClear && ref == c.clear.number:
		c.clear.flushed = true
		c.note(workClear)
	case p == flushEnd:
		c.detach.flushed = true
		c.note(workDetach)
	case p == flushRound || p == flushRecover:
		c.lay.flushed(c, p, ref)
	}
}

// needFlushOf makes flushes under way wait for a leg that acks need from now on.
func (c *Core) needFlushOf(i LegIndex) {
	for o := c.flushes.head; o != nil; o = o.next {
		if !o.purpose.ofJoin() {
			o.targets = o.targets.with(i)
			c.send(o, i)
		}
	}
}
