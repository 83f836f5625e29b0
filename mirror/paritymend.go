package mirror

import "github.com/holdfast-storage/holdfast/block"

// mendItem is some rows that legs could not give. They are made from the others, with the stripe locked, and staged on
// those legs alone as a repair: a record that is not freed may touch them, and no leg is written to past its journal.
type mendItem struct {
	rng  block.Range // on the leg, of one stripe
	legs legSet
}

// spoiled implements layout.
func (p *paritySet) spoiled(c *Core, o *op) { p.needMend(c, o.fetch.tried, o.fetch.rng) }

// needMend has rows of legs mended soon, and reports whether that may help.
func (p *paritySet) needMend(c *Core, legs legSet, r block.Range) bool {
	if !c.serving() || legs&c.read == 0 {
		return false
	}
	for n, m := range p.mend {
		if m.rng == r {
			p.mend[n].legs |= legs
			return true
		}
	}
	if len(p.mend) >= healQueue {
		return false
	}
	p.mend = append(p.mend, mendItem{rng: r, legs: legs})
	c.note(workRound)
	return true
}

// pumpMends begins to mend what is due.
func (p *paritySet) pumpMends(c *Core) {
	for c.serving() && len(c.heal.running) < healDepth && len(p.mend) > 0 {
		m := p.mend[0]
		p.mend = append(p.mend[:0], p.mend[1:]...)
		c.startCopy(copyJob{kind: copyHeal, need: m.legs}, m.rng, true)
	}
}

// healRows makes the part for the next leg that lacks it.
func (p *paritySet) healRows(c *Core, o *op) {
	j := &o.copy
	j.need &= c.read
	j.adopted = 0
	p.healLeg(c, o)
}

// healLeg goes on with the next leg; copyJob.adopted are those that are dealt with.
func (p *paritySet) healLeg(c *Core, o *op) {
	j := &o.copy
	rest := j.need &^ j.adopted
	if rest == 0 {
		p.nextRows(c, o)
		return
	}
	i := rest.first()
	if !c.usable(i) {
		c.copyDone(o, false)
		return
	}
	exact := j.kind == copyScrub || o.rng.Len == BlockBytes // else another block of the range may be the bad one
	if exact && c.leg(i).mend.healedBefore(j.part) {
		j.failing = j.failing.with(i)
	}
	// Another one that lacks something of the range may have this block: it will say.
	p.fetchWithout(c, o, j.part, c.leg(i).info.Slot, only(i))
}

// repair stages what was made on the leg that lacks it.
func (p *paritySet) repair(c *Core, o *op) {
	j := &o.copy
	i := (j.need &^ j.adopted).first()
	if !c.read.has(i) {
		c.copyDone(o, false)
		return
	}
	o.part.stripe, o.part.leg = p.geo.StripeOnLeg(j.part.Off), j.part
	o.part.plan.Repair = true
	p.dispatch(c, o)
}

// repaired goes on when the leg has the repair, or could not take it.
func (p *paritySet) repaired(c *Core, o *op) {
	j := &o.copy
	i := (j.need &^ j.adopted).first()
	j.adopted = j.adopted.with(i)
	if o.answered.has(i) {
		c.countHealed(j, i, j.part.Len/BlockBytes)
		c.leg(i).mend.remember(j.part)
	}
	p.healLeg(c, o)
}

// lost goes on behind a block that cannot be made from what is left.
func (p *paritySet) lost(c *Core, o *op) {
	j := &o.copy
	if j.kind == copyScrub {
		p.scrub.unreadable(c, o)
	}
	j.adopted = j.adopted.with((j.need &^ j.adopted).first())
	p.healLeg(c, o)
}

// mendFirst implements layout: legs may have different bad blocks in the range, and then each can be made.
func (p *paritySet) mendFirst(c *Core, o *op) bool {
	if o.mendedOnce || o.rng.Len == BlockBytes || !p.needMend(c, o.fetch.tried, o.fetch.rng) {
		return false
	}
	o.mendedOnce = true
	if o.lock.held() {
		c.unlock(o)
	}
	o.wide = block.Range{}
	c.heal.waiting.push(o)
	return true
}

// startMended implements layout.
func (p *paritySet) startMended(c *Core) {
	w := &c.heal.waiting
	for o, n := w.head, w.n; o != nil && n > 0; n-- {
		next := o.next
		if !p.mending(c, o.part.leg) {
			w.remove(o)
			c.lockRange(o, o.kind == opWrite)
		}
		o = next
	}
}

// mending reports whether some of these rows wait to be mended, or are being mended.
func (p *paritySet) mending(c *Core, r block.Range) bool {
	for _, m := range p.mend {
		if m.rng.Overlaps(r) {
			return true
		}
	}
	for _, o := range c.heal.running {
		if o.rng.Overlaps(r) {
			return true
		}
	}
	return false
}
