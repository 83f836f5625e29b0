package mirror

import "github.com/holdfast-storage/holdfast/block"

// readEdges reads the blocks of which an unaligned write changes only a part, one after the other,
// under the write's own lock, so that legs see whole blocks only. With none left it is dispatched.
func (c *Core) readEdges(o *op) {
	head := block.Range{Off: o.rng.Off, Len: BlockBytes}
	tail := block.Range{Off: o.rng.End() - BlockBytes, Len: BlockBytes}
	if o.edge == 0 {
		o.edge = 1
		if o.want.Off != o.rng.Off || o.rng.Len == BlockBytes && o.want.Len != BlockBytes {
			c.startFetch(o, head, 0)
			return
		}
	}
	if o.edge == 1 {
		o.edge = 2
		if o.want.End() != o.rng.End() && o.rng.Len > BlockBytes {
			c.startFetch(o, tail, 0)
			return
		}
	}
	c.dispatchWrite(o)
}

// mergeEdge takes over what stands around an unaligned write in one of its blocks.
func (c *Core) mergeEdge(o *op, data Handle) {
	c.emit(Effect{Kind: EffectFill, Data: o.data, Offset: o.fetch.rng.Off - o.rng.Off, Source: data,
		Range: o.fetch.rng, Keep: o.want})
	c.emit(Effect{Kind: EffectRelease, Data: data})
	c.readEdges(o)
}

// dispatchWrite sends a write whose range is locked to every leg that receives writes.
func (c *Core) dispatchWrite(o *op) {
	o.io = o.rng
	c.dispatch(o, c.receivers())
}

// dispatch sends the write in o.io to targets.
func (c *Core) dispatch(o *op, targets legSet) {
	c.seq++
	o.seq, o.sentAt, o.targets = c.seq, max(c.now, 1), targets
	o.answered, o.noSpace, o.firstAt = 0, 0, 0
	c.lastWrite, c.uncleared = c.now, true
	c.writes.push(o)
	for s := targets; s != 0; s = s.rest() {
		c.send(o, s.first())
	}
}

// advanceWrite answers the guest when every leg of ack_set has the write, and gives its range back
// when every leg that it went to has it.
//
// The guest is not answered while a removal is committed whose CONFIG is not yet everywhere: the
// legs that go on must first stamp what they write with the new configuration, or the removed leg
// would not learn what it missed (I11, [M:ackEarly, releaseEarly]).
func (c *Core) advanceWrite(o *op) {
	if o.kind == opCopy {
		c.advanceCopy(o)
		return
	}
	if !o.acked && c.removed == 0 && c.ack != 0 {
		switch {
		case c.lay.stored(c, o):
			c.lay.answer(c, o)
		case o.noSpace != 0 && (o.targets & c.ack).within(o.answered|o.noSpace):
			c.lay.outOfSpace(c, o)
		}
	}
	awaited := c.ack | c.wo
	if c.breaks(BreakLockToAck) { // [M:lockToAck]
		awaited = c.ack
	}
	if o.acked && (o.targets & awaited).within(o.answered|o.noSpace) {
		c.lay.end(c, o)
	}
}

// outOfSpace ends a write for which some leg has no room. With no room anywhere the guest is told;
// else the full legs failed, and the write waits for their removal (failure matrix 40, 41). A leg that
// lost its cache counts for nothing: its removal is awaited, for the full ones are all there is. Nor does
// one that is away now: then it is that one which leaves.
func (c *Core) outOfSpace(o *op) {
	stored := c.ack & o.answered
	if stored == 0 {
		c.disagree(o.rng)
		c.complete(o, block.ErrNoSpace)
		return
	}
	if !c.enough(c.kept(stored)) {
		return
	}
	for s := o.noSpace & c.ack; s != 0; s = s.rest() {
		if c.removable(s.first()) {
			c.legFailed(s.first(), block.ErrNoSpace)
		}
	}
}

// unsent looks again at requests that legs have answered with neither yes nor no: those for which a leg had
// no room, because another one may be back; and those that a leg could not do in a session that went on.
func (c *Core) unsent() {
	for _, l := range [...]*opList{&c.writes, &c.flushes} {
		for o := l.head; o != nil; o = o.next {
			if o.noSpace != 0 && !o.acked {
				c.note(workSweep)
			}
			for s := o.targets &^ (o.answered | o.inflight | o.noSpace); s != 0; s = s.rest() {
				if g := c.leg(s.first()); g.trouble == 0 && g.retryAt == 0 {
					c.send(o, s.first())
				}
			}
		}
	}
}

// sweep looks at every dispatched write and flush again after a set of legs changed.
func (c *Core) sweep() {
	for o, n := c.writes.head, c.writes.n; o != nil && n > 0; n-- {
		next := o.next
		c.advanceWrite(o)
		o = next
	}
	for o, n := c.flushes.head, c.flushes.n; o != nil && n > 0; n-- {
		next := o.next
		c.advanceFlush(o)
		o = next
	}
}

// writtenThrough reports whether every write dispatched up to seq has ended on all legs.
func (c *Core) writtenThrough(seq uint64) bool {
	return c.writes.head == nil || c.writes.head.seq > seq
}
