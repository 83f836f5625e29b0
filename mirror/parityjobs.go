package mirror

import "github.com/holdfast-storage/holdfast/volume"

// settle implements layout.
func (p *paritySet) settle(c *Core) {
	p.settleRound(c)
	if c.stop == nil {
		p.pumpRoom(c)
		p.pumpMends(c)
		p.pumpBacking(c)
	}
}

// answered implements layout.
func (p *paritySet) answered(c *Core, k call, err error, has *volume.Records) {
	switch {
	case k.op != nil:
		p.onBack(c, k, err)
	case k.kind == CommandDrop:
		p.onDrop(c, k, err)
	case k.ref&recoverRef != 0:
		p.onRecover(c, k, err, has)
	default:
		p.onRound(c, k, err)
	}
}

// flushed implements layout.
func (p *paritySet) flushed(c *Core, purpose flushPurpose, ref uint64) {
	switch {
	case purpose == flushRound && ref == p.round.number:
		p.round.flushed = true
		c.note(workRound)
	case purpose == flushRecover && ref == p.recover.number:
		p.recover.flushed = true
		c.note(workAttach)
	}
}

// gone implements layout.
func (p *paritySet) gone(_ *Core, i LegIndex) {
	p.room.gone(i)
	for _, o := range p.backing {
		o.part.back = o.part.back.without(i)
	}
}
