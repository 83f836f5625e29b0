package sim

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// The kinds of layout that a run may be asked for.
const (
	AnyLayout  = ""       // the seed's turn
	MirrorOnly = "mirror" // what a seed means for mirrors, whatever its turn
	ParityOnly = "parity" // a set of parity, whatever its turn
)

// Layouts returns the names of the kinds of layout.
func Layouts() []string { return []string{MirrorOnly, ParityOnly} }

// parityShapes are the sets of parity that are simulated, k and m.
func parityShapes() [][2]int { return [][2]int{{2, 1}, {3, 2}, {4, 2}, {2, 1}, {2, 2}} }

// parityTurn returns the layout of a set of parity for a seed, and false where it is a mirror's turn: in every second
// round through the flavours. It draws no random number, so that a seed of a mirror means what it always did.
func (w *world) parityTurn() (volume.Layout, bool) {
	round := w.opts.Seed / uint64(len(flavours()))
	if w.opts.Layout == MirrorOnly || w.opts.Layout == AnyLayout && round%2 == 0 {
		return volume.Layout{}, false
	}
	shapes := parityShapes()
	n := w.opts.Seed
	if w.opts.Layout == AnyLayout {
		n = w.opts.Seed/2 + round
	}
	shape := shapes[n%uint64(len(shapes))]
	l := volume.Parity(shape[0], shape[1])
	l.Chunk = []int64{2, 4, 16}[n/uint64(len(shapes))%3] * blockBytes
	return l, true
}

// paritySet is where the blocks of a volume of parity lie, and its code.
type paritySet struct {
	layout volume.Layout
	geo    parity.Geometry
	code   *parity.Code
	size   int64
	lost   map[int64]bool // rows that a disk lost something of without a trace

	repairs map[volume.Transaction]bool // those that give one leg what the others make
}

func newParitySet(l volume.Layout, size int64) (*paritySet, error) {
	geo, err := parity.NewGeometry(l, size)
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	code, err := parity.NewCode(l)
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	return &paritySet{layout: l, geo: geo, code: code, size: size, lost: map[int64]bool{},
		repairs: map[volume.Transaction]bool{}}, nil
}

// place is where a block of the volume lies: as data on the leg of a slot, at a block of that leg, which is the row
// of its stripe.
func (p *paritySet) place(b int64) (slot int, row int64) {
	at := p.geo.Pieces(nil, block.Range{Off: b * blockBytes, Len: blockBytes})[0]
	return at.Slot, at.Off / blockBytes
}

// stripeOf returns the stripe of a row.
func (p *paritySet) stripeOf(row int64) int64 { return p.geo.StripeOnLeg(row * blockBytes) }

// chunkOf returns which chunk of its stripe a row is on the leg of a slot.
func (p *paritySet) chunkOf(row int64, slot int) int { return p.geo.Chunk(p.stripeOf(row), slot) }

// blocksOf returns the blocks of the volume that a row has, by chunk.
func (p *paritySet) blocksOf(row int64) []int64 {
	var list []int64
	for chunk := range p.layout.Data {
		slot := p.geo.Slot(p.stripeOf(row), chunk)
		if off, ok := p.geo.Volume(slot, row*blockBytes); ok {
			list = append(list, off/blockBytes)
		}
	}
	return list
}

// legBlocks returns how many blocks each leg has.
func (p *paritySet) legBlocks() int64 { return p.layout.LegBytes(p.size) / blockBytes }

// rowsOf returns the rows that blocks of the volume lie in, ascending.
func (p *paritySet) rowsOf(blocks []int64) []int64 {
	seen := map[int64]bool{}
	var rows []int64
	for _, b := range blocks {
		if _, row := p.place(b); !seen[row] {
			seen[row] = true
			rows = append(rows, row)
		}
	}
	slices.Sort(rows)
	return rows
}

// piece returns the first piece of r that is one request of a set: a whole stripe that is written, as far as the volume
// has it, or a range within one chunk.
func (p *paritySet) piece(r block.Range, changes bool) block.Range {
	if all := p.geo.Stripe(p.geo.StripeAt(r.Off)); changes && r.Off == all.Off && r.Len >= all.Len {
		return all
	}
	return block.Range{Off: r.Off, Len: min(r.Len, p.layout.Chunk-r.Off%p.layout.Chunk)}
}
