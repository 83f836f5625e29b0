package mirror

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// outOfSpace implements layout. If the others are enough without the legs that have no room these leave, as one that
// failed would. Else the guest is told, and the write is taken back where it is staged before that: no leg may have a
// part of a stripe's change that others never had.
func (p *paritySet) outOfSpace(c *Core, o *op) {
	full := o.noSpace & c.ack
	if rest := c.kept(c.ack &^ c.removed &^ full); c.enough(rest) {
		for s := full; s != 0; s = s.rest() {
			if c.removable(s.first()) {
				c.legFailed(s.first(), block.ErrNoSpace)
			}
		}
		return
	}
	if o.part.failed || o.inflight != 0 { // looked at again when a joining leg has answered, too
		return
	}
	// Also one that has no room now may have it: from an earlier session, whose answer was lost.
	o.part.failed, o.part.back = true, o.targets&c.receivers()
	o.targets, o.noSpace = 0, 0
	p.backing = append(p.backing, o)
	c.note(workRound)
}

// pumpBacking asks legs to take back the writes that failed, and ends those that no leg has any more. A leg that failed
// to is asked again only when its time has come, or when it has answered something else.
func (p *paritySet) pumpBacking(c *Core) {
	for n := len(p.backing) - 1; n >= 0 && c.stop == nil; n-- {
		o := p.backing[n]
		if o.part.back == 0 && c.removed == 0 {
			p.backing = append(p.backing[:n], p.backing[n+1:]...)
			c.complete(o, block.ErrNoSpace)
			c.retire(o)
			continue
		}
		for s := c.usableOf(o.part.back &^ o.part.asked); s != 0; s = s.rest() {
			i := s.first()
			if g := c.leg(i); g.trouble != 0 || g.retryAt != 0 {
				continue
			}
			o.part.asked = o.part.asked.with(i)
			list := []volume.Transaction{o.part.plan.Transaction}
			c.callLeg(i, &Command{Kind: CommandRollback, List: list}, o, o.seq)
		}
	}
}

// onBack takes a leg's answer to the roll-back of a write that failed.
func (p *paritySet) onBack(c *Core, k call, err error) {
	t := &k.op.part
	c.note(workRound)
	if k.op.seq != k.ref || !t.failed {
		return // the leg has left, and nobody waits for it any more
	}
	t.asked = t.asked.without(k.leg)
	if err != nil {
		c.legCallFailed(k, err) // asked again when it is well again, unless it leaves
		return
	}
	t.back = t.back.without(k.leg)
}
