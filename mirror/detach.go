package mirror

import (
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// detachJob is the orderly end of an attachment (protocol §1.7.7, protocol-flush F "Detach"): no new
// requests, drain, flush, STABLE everywhere, DETACH on every in-sync leg, Detach in raft. It claims
// a clean end only if every leg of the in-sync list took part in all of it.
type detachJob struct {
	clean    bool
	flushing bool
	flushed  bool
	pending  legSet // legs that have not answered DETACH
	retryAt  time.Duration
}

func (c *Core) onDetach() {
	if c.phase >= phaseDraining {
		return
	}
	c.setState(StateDetaching, "")
	for o := c.parked.head; o != nil; o = c.parked.head { // nothing was promised to these
		c.parked.remove(o)
		c.complete(o, block.ErrClosed)
		c.retire(o)
	}
	c.note(workDetach | workClear | workCopy)
	if c.phase != phaseServing {
		c.phase = phaseReturning // nothing was read or written: give the epoch back as it is
		return
	}
	c.phase = phaseDraining
}

// settleDetach takes the next step of the end that has become possible.
func (c *Core) settleDetach() {
	switch c.phase {
	case phaseDraining:
		c.drain()
	case phaseReturning:
		if c.asking(CommandDetach) {
			return
		}
		if c.detach.retryAt > c.now {
			c.wake(c.detach.retryAt)
			return
		}
		c.ask(noLeg, &Command{Kind: CommandDetach, Clean: c.detach.clean, Seqs: c.labelSeqs(c.kisr)}, 0)
	}
}

// drain waits until nothing is under way, then flushes and clears, then closes the legs.
func (c *Core) drain() {
	if c.join.active && c.leg(c.join.leg).state.Joining() {
		c.letGo(c.join.leg, "the volume is being detached")
		return
	}
	if c.guestOps > 0 || c.copies > 0 || c.writes.n > 0 || c.join.active || !c.calm() {
		return
	}
	d := &c.detach
	switch {
	case c.reconcile.set.left > 0: // marked regions stay marked: flush what there is
		if !d.flushing {
			d.flushing = true
			c.flushFor(flushEnd, c.ack, 0)
		}
		if !d.flushed {
			return
		}
	case c.uncleared || c.clear.step != clearIdle:
		return // clearing goes on, or begins with the next look
	default:
		d.clean = true
	}
	c.phase = phaseClosing
	d.pending = c.kisr
	for s := c.kisr; s != 0; s = s.rest() {
		c.callLeg(s.first(), &Command{Kind: CommandDetachLeg, Clean: d.clean}, nil, 0)
	}
}

func (c *Core) onDetachLeg(k call, err error, r *Reply) {
	d := &c.detach
	if err != nil {
		d.clean = false
	} else {
		c.labelSeq(k.leg, r.Seq)
	}
	if d.pending = d.pending.without(k.leg); d.pending == 0 {
		c.phase = phaseReturning
		c.note(workDetach)
	}
}

func (c *Core) onDetached(err error) {
	if err != nil {
		c.detach.retryAt = c.now + c.timing().Retry
		c.wake(c.detach.retryAt)
		c.setState(StateDetaching, err.Error())
		return
	}
	c.phase = phaseDetached
	c.deadline = 0
	c.setState(StateDetached, "")
	for s := c.known; s != 0; s = s.rest() {
		c.emit(Effect{Kind: EffectStop, Leg: s.first()})
	}
	c.emit(Effect{Kind: EffectDetached, Clean: c.detach.clean})
}
