package mirror

import "github.com/holdfast-storage/holdfast/block"

// judge decides of one block of the part who can give it and who lacks it. A leg on which the block is
// bad never gives it, whatever its checksum says, and lacks it as long as another leg has it.
func (c *Core) judge(o *op, b int) {
	j := &o.copy
	k := &j.buf.blocks[b]
	good := j.need &^ k.bad
	switch j.kind {
	case copyReconcile:
		// Nothing of a marked extent was ever read, so any leg that has a whole block will do.
		if c.breaks(BreakAdoptFirst) && k.bad != 0 { // [M:adoptFirst]
			good = 0
		}
		// One without room gives what it has, as that takes no room of it.
		first := good
		if own := good & j.full; own != 0 {
			first = own
		}
		k.right = j.sameAs(good, first.first(), b)
		k.lacks = j.need &^ k.right
	case copyJoin:
		// What the source cannot read is taken from another leg in sync, unseen.
		src := j.need.without(c.join.leg).first()
		k.right, k.lacks = c.read&^k.bad, only(c.join.leg)
		if good == j.need && j.buf.sums[src][b] == j.buf.sums[c.join.leg][b] {
			k.lacks = 0
		}
	default:
		k.right = c.majority(j, good, b)
		k.lacks = j.need &^ k.right
	}
	if k.right == 0 {
		k.lacks = 0
	}
}

// sameAs returns the legs of s whose block has the checksum that it has on leg i.
func (j *copyJob) sameAs(s legSet, i LegIndex, b int) legSet {
	var same legSet
	for r := s; r != 0; r = r.rest() {
		if j.buf.sums[r.first()][b] == j.buf.sums[i][b] {
			same = same.with(r.first())
		}
	}
	return same
}

// majority returns the legs of good that agree on a block, if they are more than half of good. Legs in
// sync with whole blocks that differ mean that a write was lost, or went elsewhere, together with its
// checksum: with no majority nobody can tell which of them is right, and nothing is changed.
func (c *Core) majority(j *copyJob, good legSet, b int) legSet {
	for s := good; s != 0; {
		same := j.sameAs(s, s.first(), b)
		if 2*same.count() > good.count() || c.breaks(BreakScrubGuess) { // [M:scrubGuess]
			return same
		}
		s &^= same
	}
	return 0
}

// found takes into account what a comparison showed: bad blocks of a source are to be healed, those of
// a scrub are counted, and a leg that has one where it was healed before is failing.
func (c *Core) found(o *op) {
	j := &o.copy
	switch j.kind {
	case copyJoin:
		for b, k := range j.buf.blocks {
			if k.bad&c.read != 0 {
				c.needHeal(j.rangeOf(b, 1))
			}
		}
	case copyHeal, copyScrub:
		for b, k := range j.buf.blocks {
			for s := k.bad; s != 0; s = s.rest() {
				if c.leg(s.first()).mend.healedBefore(j.rangeOf(b, 1)) {
					j.failing = j.failing.with(s.first())
				}
			}
		}
		if j.kind == copyScrub {
			c.countScrub(o)
		}
	}
}

// unreadBlock takes into account that the next block of the part can be given by nobody.
func (c *Core) unreadBlock(o *op) {
	j := &o.copy
	if j.kind != copyJoin {
		return // a leg that is healed keeps what it has
	}
	c.join.unread, j.unread = j.rangeOf(j.next, 1), true
}

// mended notes that a run was rewritten, so that it is read back.
func (c *Core) mended(o *op) {
	j := &o.copy
	if j.kind < copyHeal {
		return
	}
	at := int((o.io.Off - o.rng.Off) / BlockBytes)
	for b := range int(o.io.Len / BlockBytes) {
		to := j.buf.blocks[j.next+b].lacks & o.answered
		j.buf.mended[at+b] |= to
		j.written |= to
		for s := to; s != 0; s = s.rest() {
			c.countHealed(j, s.first(), 1)
		}
	}
	for s := o.answered; s != 0; s = s.rest() {
		c.leg(s.first()).mend.remember(o.io)
	}
}

// verify looks at what was read back of rewritten blocks.
func (c *Core) verify(o *op) {
	j := &o.copy
	at := int((j.part.Off - o.rng.Off) / BlockBytes)
	for b, k := range j.buf.blocks {
		for s := j.buf.mended[at+b] & k.bad; s != 0; s = s.rest() {
			j.failing = j.failing.with(s.first())
			c.countHealed(j, s.first(), -1)
		}
	}
	c.nextPart(o)
}

// countHealed counts blocks that were rewritten on a leg.
func (c *Core) countHealed(j *copyJob, i LegIndex, n int64) {
	c.leg(i).mend.healed += n
	if j.kind == copyScrub && c.scrub.active && j.number == c.scrub.number {
		c.scrubLeg(i).Healed += n
	}
}

// blockRanges appends r to list, or makes the last range longer if r continues it. A list that is full
// stays as it is.
func blockRanges(list []block.Range, r block.Range, most int) []block.Range {
	if n := len(list); n > 0 && list[n-1].End() == r.Off {
		list[n-1].Len += r.Len
		return list
	}
	if len(list) >= most {
		return list
	}
	return append(list, r)
}
