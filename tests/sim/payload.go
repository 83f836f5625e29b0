package sim

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

const (
	blockBytes  = volume.BlockBytes
	sectorBytes = blockBytes / sectors
)

// payload is a buffer of an engine: the blocks of a range.
type payload struct {
	rng      block.Range // whole blocks
	blocks   []content
	parity   [][]byte              // what was made of it for the legs of parity
	storedBy map[volume.LegID]bool // legs that answered a record of it
	// transactions are those that it was staged as.
	transactions map[volume.Transaction]bool
	held         int // requests under way that carry it
	released     bool
}

// hold lends the blocks of r to a request. What travels is what the buffer holds now.
func (p *payload) hold(r block.Range) []content {
	p.held++
	first := (r.Off - p.rng.Off) / blockBytes
	return append([]content(nil), p.blocks[first:first+r.Len/blockBytes]...)
}

// release gives the buffer back to the engine's pool: whoever still sends from it would send what
// another request put there.
func (p *payload) release(w *world) {
	if p.held > 0 || p.released {
		w.fail("payload", "a buffer was given back while %d requests carry it (given back before: %v)",
			p.held, p.released)
	}
	p.released = true
}

// fill is EffectFill: the edge of an unaligned write takes over what stands there.
func fill(x *mirror.Effect) {
	dst, src := x.Data.(*payload), x.Source.(*payload)
	for off := x.Range.Off; off < x.Range.End(); off += sectorBytes {
		if (block.Range{Off: off, Len: sectorBytes}).Overlaps(x.Keep) {
			continue
		}
		at := x.Offset + off - x.Range.Off
		dst.blocks[at/blockBytes][at%blockBytes/sectorBytes] =
			src.blocks[(x.Begin+off-x.Range.Off)/blockBytes][off%blockBytes/sectorBytes]
	}
}
