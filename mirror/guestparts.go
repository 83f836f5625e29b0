package mirror

import (
	"math"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// zeroesAtOnce is how many pieces of a zero are under way at once: zeroing a large volume is one request, and legs of
// parity are sent zeroes like anything else.
const zeroesAtOnce = 64

// guestPieces is a request to a set of parity, cut as the layout is: whole stripes that are written, and ranges within
// one chunk. Each piece is a request of its own for the Core, and is locked, staged and answered by itself: what a disk
// promises is about single blocks.
type guestPieces struct {
	engine *Engine
	req    *block.Request

	mu   sync.Mutex
	rest block.Range // that is not submitted
	open int         // pieces that are not answered
	err  error       // the first one
}

// piece returns the first piece of r. A whole stripe is all that the stripe has of the volume: the last one may have
// less than the others.
func piece(l volume.Layout, size int64, r block.Range, changes bool) block.Range {
	stripe := l.StripeBytes()
	if all := min(stripe, size-r.Off); changes && r.Off%stripe == 0 && r.Len >= all {
		return block.Range{Off: r.Off, Len: all}
	}
	return block.Range{Off: r.Off, Len: min(r.Len, l.Chunk-r.Off%l.Chunk)}
}

// payloadBytes returns how long the payload of a piece that is written is: whole blocks, and of a whole stripe all of
// it, with zeroes behind the end of the volume.
func payloadBytes(l volume.Layout, size int64, r block.Range) int64 {
	stripe := l.StripeBytes()
	if stripe > 0 && r.Off%stripe == 0 && r.Len == min(stripe, size-r.Off) {
		return stripe
	}
	return r.AlignOut(BlockBytes).Len
}

// submitPieces hands a request to the Core in pieces.
func (e *Engine) submitPieces(r *block.Request) {
	op := r.Op
	if op == block.OpZero {
		op = block.OpWrite
	}
	if first := piece(e.payloads.layout, e.limits.SizeBytes, r.Range, r.Op.Changes()); first == r.Range {
		e.submit(r, nil, op, r.Range)
		return
	}
	g := &guestPieces{engine: e, req: r, rest: r.Range, open: 1}
	most := math.MaxInt // the payload of a write is copied before Submit returns
	if r.Op == block.OpZero {
		most = zeroesAtOnce
	}
	for range most {
		if !g.next(op) {
			break
		}
	}
	g.answer(nil) // of the one that kept the request open
}

// next submits the next piece, unless there is none or an earlier one failed.
func (g *guestPieces) next(op block.Op) bool {
	g.mu.Lock()
	if g.rest.Empty() || g.err != nil {
		g.mu.Unlock()
		return false
	}
	p := piece(g.engine.payloads.layout, g.engine.limits.SizeBytes, g.rest, g.req.Op.Changes())
	g.rest = block.Range{Off: p.End(), Len: g.rest.Len - p.Len}
	g.open++
	g.mu.Unlock()
	g.engine.submit(g.req, g, op, p)
	return true
}

// answer takes the answer to a piece; with the last one the guest is answered, with the first error there was.
func (g *guestPieces) answer(err error) {
	g.mu.Lock()
	if g.err == nil {
		g.err = err
	}
	g.mu.Unlock()
	if g.req.Op == block.OpZero {
		g.next(block.OpWrite)
	}
	g.mu.Lock()
	g.open--
	done, first := g.open == 0, g.err
	g.mu.Unlock()
	if done {
		g.req.Complete(g.req, first)
	}
}
