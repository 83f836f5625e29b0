package mirror

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// write begins a write whose range is locked: what it replaces has to be known before parity can follow, unless all
// of the stripe is written.
func (p *paritySet) write(c *Core, o *op) {
	t := &o.part
	if !p.isPiece(o) {
		c.bug("write %s is of more than one chunk, and of no whole stripe", o.rng)
		return
	}
	if t.full {
		c.emit(Effect{Kind: EffectEncode, Data: o.data})
		p.old.drop(c, o.rng)
		p.dispatch(c, o)
		return
	}
	if t.old, t.oldFrom = p.old.take(o.rng); t.old != nil {
		p.change(c, o)
		return
	}
	p.fetchPart(c, o)
}

// merge goes on with what the write replaces.
func (p *paritySet) merge(c *Core, o *op, data Handle) {
	o.part.old, o.part.oldFrom = data, 0
	p.change(c, o)
}

// change completes blocks of which the guest writes only a part, and has the change of parity made.
func (p *paritySet) change(c *Core, o *op) {
	t := &o.part
	if o.want != o.rng {
		c.emit(Effect{Kind: EffectFill, Data: o.data, Source: t.old, Begin: t.oldFrom, Range: o.rng, Keep: o.want})
	}
	c.emit(Effect{Kind: EffectChange, Data: o.data, Source: t.old, Begin: t.oldFrom, Chunk: int(t.chunk),
		Range: o.rng})
	p.old.drop(c, o.rng)
	p.dispatch(c, o)
}

// dispatch stages a write on every leg that gets a record of it, once there is room for the records.
func (p *paritySet) dispatch(c *Core, o *op) {
	if !p.room.has(p.recordBytes(o)) {
		p.room.waiting.push(o)
		c.note(workRound)
		return
	}
	p.send(c, o)
}

// send stages a write for which there is room.
func (p *paritySet) send(c *Core, o *op) {
	j := &o.copy
	switch {
	case o.kind != opCopy:
		p.stage(c, o, p.receivers(c, o))
	case !o.current(c): // a repair whose leg left while it waited
		c.copyDone(o, false)
	default:
		p.stage(c, o, only((j.need &^ j.adopted).first()))
		c.advanceCopy(o)
	}
}

// stage sends the records of a write to the legs of targets, which are its Q.
func (p *paritySet) stage(c *Core, o *op, targets legSet) {
	t := &o.part
	t.staged, o.io, o.verb = true, t.leg, block.OpWrite
	t.plan.Transaction = volume.Transaction{Epoch: c.opts.Epoch, Number: c.seq + 1}
	t.plan.Full, t.plan.Legs = t.full, t.plan.Legs[:0]
	for s := targets; s != 0; s = s.rest() {
		t.plan.Legs = append(t.plan.Legs, c.leg(s.first()).info.ID)
	}
	p.room.use(c.seq+1, p.recordBytes(o), targets)
	if p.room.isHalf() {
		c.note(workRound)
	}
	c.dispatch(o, targets)
}

// receivers returns the legs that get a record of a write: those of its chunk and of parity, or of the whole stripe.
// A joining leg gets none of what is still to be copied to it, but then it is copied after this [M:joinRecords].
func (p *paritySet) receivers(c *Core, o *op) legSet {
	to := c.receivers()
	t := &o.part
	if i := c.join.leg; c.join.active && c.wo.has(i) && !c.breaks(BreakJoinRecords) && !p.isCopied(c, t.leg) {
		c.join.set.add(t.leg)
		to = to.without(i)
	}
	if t.full {
		return to
	}
	for s := to; s != 0; s = s.rest() {
		chunk := p.geo.Chunk(t.stripe, c.leg(s.first()).info.Slot)
		if chunk != int(t.chunk) && !p.geo.IsParity(chunk) {
			to = to.without(s.first())
		}
	}
	return to
}

// stored implements layout: every leg of Q that acks need has its record [M:loseStaged].
func (p *paritySet) stored(c *Core, o *op) bool {
	if o.part.failed {
		return false
	}
	need := o.targets & c.ack
	if c.breaks(BreakLoseStaged) && !o.part.full {
		if data := c.inSlot(need, p.slotOf(o)); data != 0 {
			need = data
		}
	}
	// Some of Q is always left: legs that are enough are, and none joins before the write has ended.
	return need != 0 && need.within(o.answered)
}

// answer implements layout. What has to be on the medium is flushed on all legs, as for the guest's own flush.
func (p *paritySet) answer(c *Core, o *op) {
	if o.flags&block.FUA == 0 {
		c.complete(o, nil)
		return
	}
	f := c.newOp(opFlush)
	f.guest, o.guest, o.acked = o.guest, nil, true
	f.askedAt, f.beside = o.askedAt, o.beside
	c.startFlush(f, c.ack&^c.removed)
}

// end implements layout: what was written is kept for the next write of it.
func (p *paritySet) end(c *Core, o *op) {
	if !o.part.full && o.data != nil && !o.busy() && o.kind == opWrite {
		p.old.keep(c, o.rng, o.data)
		o.data = nil
	}
	c.retire(o)
}
