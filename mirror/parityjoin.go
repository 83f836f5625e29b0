package mirror

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// parityJoin is what a join in a set of parity keeps besides joinJob:
//
//	CONFIG → DROP(floor) → … → copy set → each extent decoded from k legs, written home → versions of every leg
//	→ acks need it → it answered its older writes → a round, which makes durable what all hold → AddLeg
//
// The leg gets records of an extent from its copy on. What is written of others meanwhile belongs to the copy set, so
// the set is there before the first write goes past the leg.
type parityJoin struct {
	dropping uint64 // the join for which DROP is under way, by its number
	stamps   int    // legs whose versions are not on the leg yet
	through  uint64 // a round that frees this write makes durable what the leg holds
}

// settleIn implements layout: the leg durably has no records, and says so by its floor [M:joinRecords, noFloor].
func (p *paritySet) settleIn(c *Core, i LegIndex) {
	j := &c.join
	if c.breaks(BreakJoinRecords) {
		p.begin(c, i)
		return
	}
	if p.join.dropping != j.number {
		p.join.dropping = j.number
		floor := volume.Transaction{Epoch: c.opts.Epoch, Number: c.seq}
		c.callLeg(i, &Command{Kind: CommandDrop, UpTo: floor}, nil, j.number)
	}
}

// onDrop takes the leg's answer to DROP. One that failed to is dropped itself: it is asked anew when it joins anew.
func (p *paritySet) onDrop(c *Core, k call, err error) {
	if err != nil {
		c.legCallFailed(k, err)
		return
	}
	j := &c.join
	if j.active && k.ref == j.number && k.leg == j.leg && c.leg(j.leg).state == LegConfiguring {
		p.join.dropping = 0
		p.begin(c, k.leg)
	}
}

// begin has every write that goes past the leg added to its copy set.
func (p *paritySet) begin(c *Core, i LegIndex) {
	// A write is in one chunk, so it is all copied, or all of it is still to be.
	c.join.set.init(c.legBytes(), max(c.timing().CopyBytes, p.layout.Chunk))
	c.join.save.off = true
	c.settleIn(i)
	c.note(workJoin)
}

// isCopied reports whether a joining leg has some rows, so that it gets the records of writes to them.
func (p *paritySet) isCopied(c *Core, leg block.Range) bool {
	return c.leg(c.join.leg).state >= LegCopying && !c.join.set.touches(leg)
}

// askCopySet implements layout: what is newer on any leg in sync, and what is marked anywhere. A leg of parity knows
// only of the writes that it got.
func (p *paritySet) askCopySet(c *Core) {
	j := &c.join
	if j.asked != 0 || j.retryAt > c.now {
		return
	}
	since := c.leg(j.leg).copySince()
	if since == 0 {
		j.set.add(block.Range{Len: c.legBytes()})
		c.enter(j.leg, LegCopying, "it is copied in full")
		c.note(workCopy | workJoin)
		return
	}
	if !c.enough(c.read) || !c.read.within(c.usableOf(c.read)) {
		return
	}
	j.asked, j.marks = c.read.with(j.leg), c.read.count()+1
	for s := c.read; s != 0; s = s.rest() {
		c.callLeg(s.first(), &Command{Kind: CommandMarks, Since: since}, nil, markJoin+j.number)
	}
	c.callLeg(j.leg, &Command{Kind: CommandMarks, Since: c.kcfg.CfgVer}, nil, markJoin+j.number)
}

// copy implements layout: extents are worked on stripe by stripe [M:copyUnlocked].
func (p *paritySet) copy(c *Core, o *op) {
	o.copy.part = p.rows(o.rng)
	p.copyRows(c, o)
}

// rows returns the beginning of a range of a leg that is of one stripe.
func (p *paritySet) rows(r block.Range) block.Range {
	return r.Intersect(p.geo.OnLeg(p.geo.StripeOnLeg(r.Off)))
}

// copyRows begins the work on the part.
func (p *paritySet) copyRows(c *Core, o *op) {
	switch o.copy.kind {
	case copyHeal:
		p.healRows(c, o)
		return
	case copyScrub:
		c.copySums(o)
		return
	}
	if !o.current(c) || !c.usable(c.join.leg) {
		c.copyDone(o, false)
		return
	}
	o.io = o.copy.part
	p.fetchSlot(c, o, o.io, c.leg(c.join.leg).info.Slot)
}

// copied implements layout.
func (p *paritySet) copied(c *Core, o *op, data Handle) {
	o.data = data
	if !o.current(c) {
		c.copyDone(o, false)
		return
	}
	if o.copy.kind != copyJoin {
		p.repair(c, o)
		return
	}
	c.dispatch(o, only(c.join.leg))
	c.advanceCopy(o)
}

// rewrote implements layout.
func (p *paritySet) rewrote(c *Core, o *op) {
	if o.copy.kind != copyJoin {
		p.repaired(c, o)
		return
	}
	p.nextRows(c, o)
}

// nextRows goes on behind the part.
func (p *paritySet) nextRows(c *Core, o *op) {
	off := o.copy.part.End()
	if off >= o.rng.End() {
		c.copyDone(o, true)
		return
	}
	o.copy.part = p.rows(block.Range{Off: off, Len: o.rng.End() - off})
	p.copyRows(c, o)
}

// unreadable implements layout: what can be read is copied all the same, block by block if need be.
func (p *paritySet) unreadable(c *Core, o *op) {
	j := &o.copy
	if !o.current(c) {
		c.copyDone(o, false)
		return
	}
	if blocks := j.part.Len / BlockBytes; blocks > 1 {
		j.part.Len = (blocks + 1) / 2 * BlockBytes
		p.copyRows(c, o)
		return
	}
	if j.kind != copyJoin {
		p.lost(c, o)
		return
	}
	c.join.unread, j.unread = j.part, true
	p.nextRows(c, o)
}

// stamp implements layout: the versions of all legs in sync, for each knows only of the writes that it got.
func (p *paritySet) stamp(c *Core) {
	j := &c.join
	if c.breaks(BreakNoStampTake) { // [M:noStampTake]
		c.promote()
		return
	}
	if j.stamping || j.retryAt > c.now || !c.enough(c.read) || !c.read.within(c.usableOf(c.read)) {
		return
	}
	j.number++ // answers to what was asked before do not count
	j.stamping, p.join.stamps = true, c.read.count()
	for s := c.read; s != 0; s = s.rest() {
		c.callLeg(s.first(), &Command{Kind: CommandVersions, Since: c.leg(j.leg).copySince()}, nil, j.number)
	}
}

// stamped implements layout.
func (p *paritySet) stamped(c *Core) {
	if p.join.stamps--; p.join.stamps == 0 {
		c.promote()
	}
}

// flushJoin implements layout. The round flushes the journals of all legs, too: what the leg was decoded from must not
// be lost behind it [M:joinUndurable]. It takes a number of its own, so that it is one that begins now.
func (p *paritySet) flushJoin(c *Core) {
	if c.breaks(BreakJoinUndurable) {
		c.flushFor(flushJoin, only(c.join.leg), c.join.number)
		return
	}
	c.seq++
	p.join.through, p.round.wanted = c.seq, c.seq
	c.note(workRound)
}

// joinDurable goes on with a join for which a round was awaited.
func (p *paritySet) joinDurable(c *Core) {
	if c.join.active && c.leg(c.join.leg).state == LegFlushing && p.round.freed >= p.join.through {
		c.join.flushed = true
		c.note(workJoin)
	}
}
