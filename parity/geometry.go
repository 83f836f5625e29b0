package parity

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Geometry tells where the bytes of one volume lie. It is a value, safe for use by many goroutines.
type Geometry struct {
	data, legs   int64 // k, n
	extra        int64 // m
	chunk        int64
	stripe, size int64 // bytes of the volume: of a stripe, of all
}

// NewGeometry returns the geometry of a volume of this size.
func NewGeometry(l volume.Layout, size int64) (Geometry, error) {
	if err := l.Check(); err != nil {
		return Geometry{}, fmt.Errorf("parity: %w", err)
	}
	if l.Kind != volume.KindParity {
		return Geometry{}, fmt.Errorf("parity: layout %s has no stripes", l)
	}
	if err := volume.CheckSize(size); err != nil {
		return Geometry{}, fmt.Errorf("parity: %w", err)
	}
	return Geometry{data: int64(l.Data), extra: int64(l.Extra), legs: int64(l.Legs()), chunk: l.Chunk,
		stripe: l.StripeBytes(), size: size}, nil
}

// Stripes returns how many stripes the volume has. The last may hold less of the volume than the others; what is
// behind the volume's end counts as zeroes.
func (g Geometry) Stripes() int64 { return (g.size-1)/g.stripe + 1 }

// Stripe returns which bytes of the volume a stripe holds.
func (g Geometry) Stripe(stripe int64) block.Range {
	off := stripe * g.stripe
	return block.Range{Off: off, Len: min(g.stripe, g.size-off)}
}

// OnLeg returns which bytes of each leg a stripe is.
func (g Geometry) OnLeg(stripe int64) block.Range {
	return block.Range{Off: stripe * g.chunk, Len: g.chunk}
}

// StripeAt returns the stripe that a byte of the volume is in.
func (g Geometry) StripeAt(off int64) int64 { return off / g.stripe }

// StripeOnLeg returns the stripe that a byte of a leg is in.
func (g Geometry) StripeOnLeg(off int64) int64 { return off / g.chunk }

// Slot returns the slot of the leg on which a chunk of a stripe lies: 0 to k-1 are its data, the others parity.
func (g Geometry) Slot(stripe int64, chunk int) int {
	return int((int64(chunk) + g.legs - g.moved(stripe)) % g.legs)
}

// Chunk returns which chunk of a stripe lies on the leg of a slot. It is the inverse of Slot.
func (g Geometry) Chunk(stripe int64, slot int) int {
	return int((int64(slot) + g.moved(stripe)) % g.legs)
}

// moved is by how many slots a stripe is turned.
func (g Geometry) moved(stripe int64) int64 { return stripe % g.legs * g.extra % g.legs }

// IsParity reports whether a chunk of a stripe is parity.
func (g Geometry) IsParity(chunk int) bool { return int64(chunk) >= g.data }

// Volume returns which byte of the volume a byte of a leg is; false if it is parity, or behind the volume's end.
func (g Geometry) Volume(slot int, off int64) (int64, bool) {
	stripe := g.StripeOnLeg(off)
	chunk := g.Chunk(stripe, slot)
	at := stripe*g.stripe + int64(chunk)*g.chunk + off%g.chunk
	return at, !g.IsParity(chunk) && at < g.size
}

// Piece is a part of a range of the volume that lies in one piece on one leg.
type Piece struct {
	Stripe int64
	Chunk  int         // of the stripe: 0 to k-1
	Slot   int         // of the leg
	Range  block.Range // of the volume
	Off    int64       // on the leg
}

// OnLeg returns which bytes of the leg the piece is. Parity of the same bytes is at the same offset.
func (p Piece) OnLeg() block.Range { return block.Range{Off: p.Off, Len: p.Range.Len} }

// Pieces appends the pieces that a range of the volume is made of, in the order of the volume. It allocates
// only what dst has no room for.
func (g Geometry) Pieces(dst []Piece, r block.Range) []Piece {
	for !r.Empty() {
		stripe, in := r.Off/g.stripe, r.Off%g.stripe
		chunk, within := int(in/g.chunk), in%g.chunk
		n := min(r.Len, g.chunk-within)
		dst = append(dst, Piece{
			Stripe: stripe, Chunk: chunk, Slot: g.Slot(stripe, chunk),
			Range: block.Range{Off: r.Off, Len: n}, Off: stripe*g.chunk + within,
		})
		r.Off, r.Len = r.Off+n, r.Len-n
	}
	return dst
}

// Part is what a range of the volume is of one stripe.
type Part struct {
	Stripe int64
	Range  block.Range // of the volume
	// Full: it is all that the stripe holds of the volume, so that its parity follows from what is written
	// and nothing has to be read.
	Full bool
}

// Parts appends what a range of the volume is of each stripe that it touches, in order.
func (g Geometry) Parts(dst []Part, r block.Range) []Part {
	for !r.Empty() {
		stripe := g.StripeAt(r.Off)
		all := g.Stripe(stripe)
		part := r.Intersect(block.Range{Off: all.Off, Len: g.stripe})
		dst = append(dst, Part{Stripe: stripe, Range: part, Full: part.Intersect(all) == all})
		r.Off, r.Len = part.End(), r.End()-part.End()
	}
	return dst
}
