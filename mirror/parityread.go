package mirror

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Bytes of a set of parity come from the leg of their slot. When that cannot give them they are decoded: the same rows
// of k other slots are read, with the whole stripe locked, since what is staged on one leg may be missing on another
// while a write is on its way [M:decodeFlying].

// decoding is the rows that a fetch has read of other slots.
type decoding struct {
	chunk int      // that is wanted; allChunks to see whether they fit together
	parts []Handle // by chunk
	have  int
	need  int
}

// allChunks stands for every chunk of a stripe.
const allChunks = -1

// read implements layout.
func (p *paritySet) read(c *Core, o *op) {
	if !p.isPiece(o) {
		c.bug("read %s is of more than one chunk", o.rng)
		return
	}
	p.fetchPart(c, o)
}

// fetchPart reads the blocks of an operation of the guest, under its lock.
func (p *paritySet) fetchPart(c *Core, o *op) { p.fetchSlot(c, o, o.part.leg, p.slotOf(o)) }

// fetchSlot reads some rows of a slot.
func (p *paritySet) fetchSlot(c *Core, o *op, leg block.Range, slot int) {
	p.fetchWithout(c, o, leg, slot, 0)
}

// fetchWithout is fetchSlot, but for legs that cannot give the rows.
func (p *paritySet) fetchWithout(c *Core, o *op, leg block.Range, slot int, bad legSet) {
	c.endFetch(o)
	o.fetch = fetch{rng: leg, slot: int8(slot), tried: bad, step: o.fetch.step + 1}
	c.fetching.push(o)
	p.fetch(c, o)
}

// fetch implements layout.
func (p *paritySet) fetch(c *Core, o *op) {
	f := &o.fetch
	if f.decode != nil {
		p.fetchOthers(c, o)
		return
	}
	best := c.bestSource(p.sources(c, o) &^ f.tried &^ f.reading)
	decodable := c.enough(p.others(c, o))
	if best != noLeg && !(decodable && c.avoided(best)) {
		c.readFrom(o, best)
		return
	}
	switch {
	case f.reading != 0:
		// It is late, as that of a mirror which is also sent to a second leg.
		if decodable && c.now-f.sentAt >= c.timing().Hedge {
			c.outrun(f.first, f.sentAt)
			p.decode(c, o)
		}
	case decodable:
		p.decode(c, o)
	default:
		p.giveUp(c, o)
	}
}

// sources implements layout.
func (p *paritySet) sources(c *Core, o *op) legSet { return c.inSlot(c.read, int(o.fetch.slot)) }

// others returns the legs of other slots that may give rows to decode from.
func (p *paritySet) others(c *Core, o *op) legSet {
	return c.usableOf(c.read &^ o.fetch.tried &^ c.inSlot(c.read, int(o.fetch.slot)))
}

// giveUp ends a fetch of bytes that nobody can read, however often they are asked for. While a leg that may have them
// can come back the fetch waits.
func (p *paritySet) giveUp(c *Core, o *op) {
	f := &o.fetch
	if f.tried == 0 {
		return
	}
	have := c.holders(o) &^ f.tried
	if c.inSlot(have, int(f.slot)) == 0 && !c.enough(have) {
		c.fetchFailed(o)
	}
}

// decode goes on with the rows of other slots, once the whole stripe is locked.
func (p *paritySet) decode(c *Core, o *op) {
	f := &o.fetch
	c.endFetch(o) // a late answer of the leg of the slot is none of the rows that are read now
	if wide := p.wideOf(f.rng); o.kind != opCopy && o.wide != wide && !c.breaks(BreakDecodeFlying) {
		exclusive := o.lock.exclusive
		c.unlock(o)
		o.wide = wide
		c.lockRange(o, exclusive)
		return
	}
	f.step++
	f.sentAt = 0
	c.fetching.push(o)
	f.decode = &decoding{chunk: p.geo.Chunk(p.geo.StripeOnLeg(f.rng.Off), int(f.slot)),
		parts: make([]Handle, p.layout.Legs()), need: p.layout.Data}
	p.fetchOthers(c, o)
}

// fetchOthers reads as many other slots as are still needed. Those that keep the read waiting are not counted on.
func (p *paritySet) fetchOthers(c *Core, o *op) {
	f := &o.fetch
	d := f.decode
	need := d.need - d.have
	if d.chunk == allChunks || c.now-f.sentAt < c.timing().Hedge {
		need -= (f.reading & c.read).count()
	}
	var asked [volume.MaxSlots]bool
	if d.chunk != allChunks {
		asked[f.slot] = true
	}
	for s := f.reading; s != 0; s = s.rest() {
		asked[c.leg(s.first()).info.Slot] = true
	}
	stripe := p.geo.StripeOnLeg(f.rng.Off)
	for s := p.others(c, o) &^ f.reading; need > 0 && s != 0; s = s.rest() {
		slot := c.leg(s.first()).info.Slot
		if asked[slot] || d.parts[p.geo.Chunk(stripe, slot)] != nil {
			continue
		}
		asked[slot] = true
		need--
		c.readFrom(o, s.first())
	}
	if need == 0 || f.reading != 0 {
		return
	}
	if d.chunk == allChunks {
		p.unverified(c, o)
		return
	}
	// Too few are left: from the beginning, since the leg of the slot itself may be back.
	if c.bestSource(p.sources(c, o)&^f.tried) != noLeg {
		c.dropDecoding(o)
		p.fetch(c, o)
		return
	}
	p.giveUp(c, o)
}

// decodeRead takes the rows of one slot; with those of k slots the chunk is made.
func (c *Core) decodeRead(o *op, i LegIndex, data Handle) {
	p, f := c.lay.(*paritySet), &o.fetch
	d := f.decode
	chunk := p.geo.Chunk(p.geo.StripeOnLeg(f.rng.Off), c.leg(i).info.Slot)
	if d.parts[chunk] != nil {
		c.bug("leg %s gave rows that were there", c.describe(i))
		return
	}
	d.parts[chunk] = data
	if d.have++; d.have < d.need {
		p.fetchOthers(c, o)
		return
	}
	f.decode = nil // the runner has the rows from here on
	c.endFetch(o)
	if d.chunk == allChunks {
		o.strays++
		c.emit(Effect{Kind: EffectVerify, Parts: d.parts, Req: Req{Op: o.slot, Step: f.step}})
		return
	}
	c.emit(Effect{Kind: EffectDecode, Data: data, Parts: d.parts, Chunk: d.chunk, Range: f.rng})
	c.fetched(o, data)
}

// dropDecoding gives back what was read of other slots.
func (c *Core) dropDecoding(o *op) {
	for _, part := range o.fetch.decode.parts {
		if part != nil {
			c.emit(Effect{Kind: EffectRelease, Data: part})
		}
	}
	o.fetch.decode = nil
}
