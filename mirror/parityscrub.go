package mirror

import "github.com/holdfast-storage/holdfast/block"

// parityScrub is what a scrub of a set of parity keeps besides scrubJob. Legs say which blocks their media cannot give:
// those are made anew from the others. Then all legs are read, and whatever does not fit together is reported: which
// leg is wrong cannot be known, so nothing is changed.
type parityScrub struct {
	number   uint64 // of the scrub
	counted  int64  // what was found bad below this offset of the legs is counted
	compared int64  // and so is what does not fit together below this one
}

// of makes it that of a scrub.
func (s *parityScrub) of(number uint64) {
	if s.number != number {
		*s = parityScrub{number: number}
	}
}

// scrubRange implements layout: whole stripes.
func (p *paritySet) scrubRange(c *Core, from int64) (block.Range, int64) {
	first := p.geo.StripeAt(from)
	n := min(max(1, c.timing().CopyBytes/p.layout.Chunk), p.geo.Stripes()-first)
	return block.Range{Off: first * p.layout.Chunk, Len: n * p.layout.Chunk}, p.geo.Stripe(first + n - 1).End()
}

// compare implements layout.
func (p *paritySet) compare(c *Core, o *op) {
	j := &o.copy
	var bad legSet
	for _, b := range j.buf.blocks {
		bad |= b.bad
	}
	if bad != 0 && j.pass == passLook {
		c.mendAlone(o)
		return
	}
	if j.pass == passMend {
		p.scrub.count(c, o)
	}
	if whole := j.wholeRows(); whole == 0 {
		j.narrowToBad()
		p.healRows(c, o)
		return
	} else if bad != 0 {
		j.part = j.rangeOf(0, whole) // what follows is looked at again
	}
	p.readAll(c, o)
}

// wholeRows returns how many blocks stand in front of the first one that is bad on some leg.
func (j *copyJob) wholeRows() int {
	n := 0
	for n < len(j.buf.blocks) && j.buf.blocks[n].bad == 0 {
		n++
	}
	return n
}

// narrowToBad makes the first blocks, which are bad, the part that is worked on, as far as they are bad on the same
// legs.
func (j *copyJob) narrowToBad() {
	blocks := j.buf.blocks
	end := 1
	for end < len(blocks) && blocks[end].bad == blocks[0].bad {
		end++
	}
	j.need, j.part = blocks[0].bad, j.rangeOf(0, end)
}

// count counts the bad blocks of the part, once.
func (s *parityScrub) count(c *Core, o *op) {
	j := &o.copy
	s.of(j.number)
	for n, b := range j.buf.blocks {
		at := j.rangeOf(n, 1)
		if at.Off < s.counted {
			continue
		}
		s.counted = at.End()
		for l := b.bad; l != 0; l = l.rest() {
			c.scrubLeg(l.first()).Bad++
			c.leg(l.first()).mend.errors++
		}
	}
}

// unreadable counts a block that cannot be made from what is left.
func (s *parityScrub) unreadable(c *Core, o *op) {
	if c.scrub.active && c.scrub.number == o.copy.number {
		c.scrub.report.Unreadable += o.copy.part.Len / BlockBytes
	}
}

// readAll reads the part from a leg of each slot, to see whether what they have fits together.
func (p *paritySet) readAll(c *Core, o *op) {
	slots := 0
	for slot := range p.layout.Legs() {
		if c.inSlot(c.read, slot) != 0 {
			slots++
		}
	}
	if slots <= p.layout.Data {
		p.nextRows(c, o) // any k chunks fit together
		return
	}
	c.endFetch(o)
	o.fetch = fetch{rng: o.copy.part, slot: allChunks, step: o.fetch.step + 1,
		decode: &decoding{chunk: allChunks, parts: make([]Handle, p.layout.Legs()), need: slots}}
	c.fetching.push(o)
	p.fetchOthers(c, o)
}

// unverified goes on when not all legs gave the part: what one cannot read is mended, and any other leg is awaited.
func (p *paritySet) unverified(c *Core, o *op) {
	f := &o.fetch
	bad, rng := f.tried, f.rng
	c.endFetch(o)
	if bad == 0 || !o.current(c) {
		c.copyDone(o, false)
		return
	}
	p.needMend(c, bad, rng)
	p.nextRows(c, o)
}

// onVerified takes what the runner found.
func (c *Core) onVerified(ev *Event) {
	o := c.ops[ev.Req.Op]
	o.strays--
	if o.list == &c.zombies {
		c.retire(o)
		return
	}
	c.lay.verified(c, o, ev.Reply.Bad)
}

// verified implements layout.
func (p *paritySet) verified(c *Core, o *op, bad []uint32) {
	s := &c.scrub
	if !o.current(c) {
		c.copyDone(o, false)
		return
	}
	part := o.copy.part
	all := p.geo.Stripe(p.geo.StripeOnLeg(part.Off))
	p.scrub.of(o.copy.number)
	for _, row := range bad {
		if part.Off+int64(row)*BlockBytes < p.scrub.compared {
			continue // the extent is looked at again
		}
		s.report.DivergedN++
		if n := len(s.report.Diverged); n == 0 || s.report.Diverged[n-1] != all {
			s.report.Diverged = blockRanges(s.report.Diverged, all, scrubRanges)
		}
	}
	p.scrub.compared = max(p.scrub.compared, part.End())
	p.nextRows(c, o)
}
