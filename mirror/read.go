package mirror

import (
	"errors"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// fetch is a read of one range for an operation, from whichever leg can give it.
type fetch struct {
	rng     block.Range
	from    legSet    // legs it may come from; zero = read_set
	tried   legSet    // legs that cannot read these bytes
	reading legSet    // legs that have the request
	first   LegIndex  // the leg that was asked first
	slot    int8      // of parity: the slot whose bytes are wanted
	decode  *decoding // of parity: they are made from those of other slots
	step    uint32    // tells answers to this fetch from those to an earlier one
	sentAt  time.Duration
}

// startFetch reads rng for o. from limits the legs; zero stands for read_set.
func (c *Core) startFetch(o *op, rng block.Range, from legSet) {
	c.endFetch(o)
	o.fetch = fetch{rng: rng, from: from, step: o.fetch.step + 1}
	c.fetching.push(o)
	c.lay.fetch(c, o)
}

// endFetch lets requests that are still out count as strays.
func (c *Core) endFetch(o *op) {
	o.strays += o.fetch.reading.count()
	o.fetch.reading = 0
	if o.fetch.decode != nil {
		c.dropDecoding(o)
	}
	if o.list == &c.fetching {
		c.fetching.remove(o)
	}
}

// sources returns the legs that the operation's fetch may use.
func (c *Core) sources(o *op) legSet {
	switch f := &o.fetch; {
	case o.kind == opCopy && o.copy.kind == copyReconcile: // before any of them is read
		return f.from & c.ack &^ c.removed
	case f.from != 0:
		return f.from & c.read
	}
	return c.lay.sources(c, o) // [M:readSuspect, readUncommit] only legs known to be committed and trusted
}

// holders returns the legs that have the bytes of the fetch, also those that may not be asked now: a
// suspect leg may come back as long as its removal is not committed, and one that is being added may be
// committed already.
func (c *Core) holders(o *op) legSet {
	if o.fetch.from != 0 {
		return c.sources(o)
	}
	held := c.ack &^ c.removed
	for s := held; s != 0; s = s.rest() {
		if state := c.leg(s.first()).state; state == LegDraining || state == LegFlushing {
			held = held.without(s.first()) // the coordinators cannot have it in sync yet
		}
	}
	return held
}

// sendFetch sends the read to one more leg, if there is one. With none it waits, unless every leg
// that has these bytes has said that it cannot read them.
func (c *Core) sendFetch(o *op) {
	f := &o.fetch
	all := c.sources(o)
	best := c.bestSource(all &^ f.tried &^ f.reading)
	if best == noLeg {
		if f.reading == 0 && (f.tried != 0 && c.holders(o).within(f.tried) || f.from != 0 && all == 0) {
			c.fetchFailed(o)
		}
		return
	}
	c.readFrom(o, best)
}

// bestSource returns the leg of s that is to be read, noLeg if none can be.
func (c *Core) bestSource(s legSet) LegIndex {
	best := noLeg
	for s = c.usableOf(s); s != 0; s = s.rest() {
		i := s.first()
		if best == noLeg || c.readsBetter(i, best) {
			best = i
		}
	}
	return best
}

// readFrom sends the read to a leg.
func (c *Core) readFrom(o *op, best LegIndex) {
	f, g := &o.fetch, c.leg(best)
	c.lastRead = best
	f.reading = f.reading.with(best)
	if f.sentAt == 0 {
		f.sentAt, f.first = max(c.now, 1), best
	}
	g.reads++
	g.inflight++
	g.lastSent = c.now
	c.emit(Effect{Kind: EffectSubmit, Leg: best, Op: block.OpRead, Range: f.rng,
		Req: Req{Op: o.slot, Sess: g.sess, Leg: best, Step: f.step, Read: true}})
}

// onReadDone takes a leg's answer to a read.
func (c *Core) onReadDone(o *op, i LegIndex, step uint32, err error, data Handle) {
	f := &o.fetch
	if err == nil && step == f.step {
		c.confirm(i, f.sentAt)
		c.leg(i).lastRead = max(c.leg(i).lastRead, f.sentAt)
	}
	if o.list != &c.fetching || step != f.step || !f.reading.has(i) {
		c.dropStray(o, data)
		return
	}
	f.reading = f.reading.without(i)
	switch {
	case err == nil && f.decode != nil && c.read.has(i):
		c.decodeRead(o, i, data)
		return
	case err == nil && f.decode == nil && c.sources(o).has(i):
		c.readWon(f, i)
		c.endFetch(o)
		c.fetched(o, data)
		return
	case err == nil: // the leg is not trusted any more
	case errors.Is(err, block.ErrMedium):
		f.tried = f.tried.with(i)
		c.leg(i).mend.errors++
	case unreachable(err):
		if c.leg(i).up && c.ack.has(i) {
			c.troubled(i)
		}
	default:
		c.legFailed(i, err)
	}
	if data != nil {
		c.emit(Effect{Kind: EffectRelease, Data: data})
	}
	if f.reading == 0 {
		// A leg that just failed is not asked again at once: workFetch tries when something changed.
		f.sentAt = 0
		if c.usable(i) && unreachable(err) {
			return
		}
		c.lay.fetch(c, o)
	}
}

// dropStray ends a read whose answer nobody waits for any more.
func (c *Core) dropStray(o *op, data Handle) {
	o.strays--
	if data != nil {
		c.emit(Effect{Kind: EffectRelease, Data: data})
	}
	if o.list == &c.zombies {
		c.retire(o)
	}
}

// fetched goes on with what was read. What some leg could not read is rewritten there.
func (c *Core) fetched(o *op, data Handle) {
	if o.fetch.tried != 0 && (o.kind != opCopy || o.copy.kind == copyJoin) {
		c.lay.spoiled(c, o)
	}
	switch o.kind {
	case opRead:
		o.data = data
		c.finishRead(o)
	case opWrite:
		c.lay.merge(c, o, data)
	case opCopy:
		c.lay.copied(c, o, data)
	}
}

// fetchFailed goes on when no leg can read the bytes.
func (c *Core) fetchFailed(o *op) {
	c.endFetch(o)
	switch {
	case o.kind == opCopy:
		c.lay.unreadable(c, o)
	case c.lay.mendFirst(c, o):
	default: // the guest's own read, or the edge of its write
		c.unread++
		c.complete(o, block.ErrMedium)
		c.retire(o)
	}
}

// finishRead answers the guest's read, if every leg confirmed within T_read that the epoch is still
// ours; else the read waits for fresh confirmations. A superseded engine gets none from a fenced
// leg, so it never serves stale data (protocol §1.6).
func (c *Core) finishRead(o *op) {
	if !c.confirmed() && !c.breaks(BreakNoConfirm) {
		c.stale.push(o)
		for s := c.ack; s != 0; s = s.rest() {
			c.ping(s.first())
		}
		return
	}
	if !c.firstRead {
		c.firstRead = true
		c.stage("first_read")
	}
	o.acked = true
	c.guestAnswered(o)
	c.emit(Effect{Kind: EffectDeliver, Guest: o.guest, Data: o.data, Range: o.rng})
	o.guest, o.data = nil, nil
	c.retire(o)
}

// confirmed reports whether each leg of ack_set answered something sent less than T_read ago.
func (c *Core) confirmed() bool {
	for s := c.ack; s != 0; s = s.rest() {
		if g := c.leg(s.first()); g.lastConfirm == 0 || c.now-g.lastConfirm >= c.timing().TRead {
			return false
		}
	}
	return true
}

// retryStale looks again at the reads that wait for confirmations.
func (c *Core) retryStale() {
	for n := c.stale.n; n > 0 && c.confirmed(); n-- {
		o := c.stale.head
		c.stale.remove(o)
		c.finishRead(o)
	}
}

// retryFetches sends the reads that found no leg.
func (c *Core) retryFetches() {
	for o, n := c.fetching.head, c.fetching.n; o != nil && n > 0; n-- {
		next := o.next
		if o.fetch.reading == 0 || o.fetch.decode != nil {
			c.lay.fetch(c, o)
		}
		o = next
	}
}
