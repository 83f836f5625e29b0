package mirror

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// paritySet is what requests do in a set of parity=k+m. Requests of the guest come in pieces: a whole stripe, or a
// range within one chunk. Ranges are locked in offsets of the volume, and all records of a write, being of one
// stripe, lie at the same offset of each leg.
type paritySet struct {
	geo     parity.Geometry
	layout  volume.Layout
	room    room
	old     oldData
	recover recoverJob
	round   roundJob
	join    parityJoin
	mend    []mendItem // that wait to be mended
	scrub   parityScrub
	backing []*op // writes that are taken back for want of room
}

// stripePart is where a request lies in its stripe, and how a write of it is staged.
type stripePart struct {
	stripe  int64
	chunk   int8        // of the stripe; 0 for a whole one
	full    bool        // all of the stripe
	staged  bool        // the write is sent as records
	leg     block.Range // the same bytes on the leg
	old     Handle      // what the write replaces
	oldFrom int64       // where in old it begins
	failed  bool        // some leg has no room for it
	back    legSet      // legs on which the write is to be taken back
	asked   legSet      // of these, legs that have been asked
	plan    StagePlan
}

func newParitySet(o CoreOptions) (*paritySet, error) {
	geo, err := parity.NewGeometry(o.Layout, o.SizeBytes)
	if err != nil {
		return nil, fmt.Errorf("layout %s: %w", o.Layout, err)
	}
	return &paritySet{geo: geo, layout: o.Layout, room: room{most: o.Layout.JournalRoom(o.SizeBytes)}}, nil
}

// place implements layout. A request that is no piece of one stripe is a fault of whoever cut it.
func (p *paritySet) place(o *op) {
	switch o.kind {
	case opFlush:
		return
	case opCopy:
		o.wide = p.wideOf(o.rng)
		return
	}
	t := &o.part
	t.stripe = p.geo.StripeAt(o.rng.Off)
	in := o.rng.Off - t.stripe*p.layout.StripeBytes()
	t.chunk, t.full = int8(in/p.layout.Chunk), o.kind == opWrite && o.want == p.geo.Stripe(t.stripe)
	t.leg = block.Range{Off: t.stripe*p.layout.Chunk + in%p.layout.Chunk, Len: min(o.rng.Len, p.layout.Chunk)}
	if t.full {
		t.leg.Len = p.layout.Chunk // also where the volume ends before: the rest of the stripe is zeroes
	}
}

// isPiece reports whether a range is one that place can take.
func (p *paritySet) isPiece(o *op) bool {
	in := o.rng.Off % p.layout.Chunk
	return o.part.full || in+o.rng.Len <= p.layout.Chunk
}

// wideOf returns what is locked of the volume for all of some rows of the legs: whole stripes.
func (p *paritySet) wideOf(leg block.Range) block.Range {
	first, last := p.geo.StripeOnLeg(leg.Off), p.geo.StripeOnLeg(leg.End()-1)
	width := p.layout.StripeBytes()
	return block.Range{Off: first * width, Len: (last + 1 - first) * width}
}

// inSlot returns the legs of s that have a slot: two while one takes the other's place.
func (c *Core) inSlot(s legSet, slot int) legSet {
	var in legSet
	for ; s != 0; s = s.rest() {
		if c.leg(s.first()).info.Slot == slot {
			in = in.with(s.first())
		}
	}
	return in
}

// slotOf returns the slot that has the data of an operation's range.
func (p *paritySet) slotOf(o *op) int { return p.geo.Slot(o.part.stripe, int(o.part.chunk)) }

// chunk implements layout.
func (p *paritySet) chunk(o *op, slot int) int { return p.geo.Chunk(o.part.stripe, slot) }
