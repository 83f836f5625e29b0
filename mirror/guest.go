package mirror

import (
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/block"
)

// guestBlockBytes is the granularity that the engine offers: the sector that a guest's disk has.
// Legs only ever see whole 4 KiB blocks.
const guestBlockBytes = 512

// guestMaxBytes bounds one request, and with it the payload that is copied for it.
const guestMaxBytes = 32 << 20

// guestIO is one request of the guest on its way through the Core, which knows it as a Handle.
type guestIO struct {
	req        *block.Request
	rng        block.Range // what of the request it is
	parent     guestWhole  // of a request that was split; nil otherwise
	next, prev *guestIO    // in Engine.guests while it is not answered
	linked     bool
}

// guestWhole takes the answers to the parts of one request.
type guestWhole interface{ answer(err error) }

// guestParts joins the parts of one zero.
type guestParts struct {
	req  *block.Request
	left atomic.Int32
	err  atomic.Pointer[error]
}

// answer completes the guest's request, or its part of it.
func (g *guestIO) answer(err error) {
	if g.parent != nil {
		g.parent.answer(err)
		return
	}
	g.req.Complete(g.req, err)
}

// answer completes the request with the first error when its last part is answered.
func (p *guestParts) answer(err error) {
	if err != nil {
		p.err.CompareAndSwap(nil, &err)
	}
	if p.left.Add(-1) > 0 {
		return
	}
	var first error
	if e := p.err.Load(); e != nil {
		first = *e
	}
	p.req.Complete(p.req, first)
}

// Submit implements block.Queue for the guest. Requests before the volume serves wait. Offsets and
// lengths are multiples of 512 bytes. The payload of a write is copied before Submit returns.
func (e *Engine) Submit(r *block.Request) {
	if err := e.limits.Check(r.Op, r.Range, r.Flags); err != nil {
		r.Complete(r, err)
		return
	}
	if r.Op != block.OpFlush && (r.Range.Empty() || r.Range.Len > guestMaxBytes && r.Op != block.OpZero) {
		var err error
		if !r.Range.Empty() {
			err = block.ErrOutOfRange
		}
		r.Complete(r, err)
		return
	}
	if e.payloads != nil && r.Op != block.OpFlush {
		e.submitPieces(r)
		return
	}
	if r.Op == block.OpZero && !r.Range.Aligned(BlockBytes) {
		e.submitZero(r)
		return
	}
	e.submit(r, nil, r.Op, r.Range)
}

// submitZero splits a zero whose ends lie inside of blocks: the ends are written, as zeroes, like
// any unaligned write; the whole blocks between them stay a zero.
func (e *Engine) submitZero(r *block.Request) {
	all := r.Range.AlignOut(BlockBytes)
	middle := all
	if middle.Off != r.Range.Off {
		middle.Off += BlockBytes
		middle.Len -= BlockBytes
	}
	if all.End() != r.Range.End() && middle.Len > 0 {
		middle.Len -= BlockBytes
	}
	parts := [...]struct {
		op  block.Op
		rng block.Range
	}{
		{block.OpWrite, r.Range.Intersect(block.Range{Off: all.Off, Len: middle.Off - all.Off})},
		{block.OpZero, middle},
		{block.OpWrite, r.Range.Intersect(block.Range{Off: middle.End(), Len: all.End() - middle.End()})},
	}
	p := &guestParts{req: r}
	for _, part := range parts {
		if !part.rng.Empty() {
			p.left.Add(1)
		}
	}
	for _, part := range parts {
		if !part.rng.Empty() {
			e.submit(r, p, part.op, part.rng)
		}
	}
}

// submit hands one request, or a part of one, to the Core.
func (e *Engine) submit(r *block.Request, p guestWhole, op block.Op, rng block.Range) {
	g, _ := e.guestPool.Get().(*guestIO)
	if g == nil {
		g = &guestIO{}
	}
	g.req, g.parent, g.rng = r, p, rng
	ev := Event{Kind: EventGuest, Op: op, Flags: r.Flags, Range: rng, Guest: g}
	if op == block.OpWrite {
		whole := rng.AlignOut(BlockBytes)
		length := whole.Len
		if e.payloads != nil {
			length = payloadBytes(e.payloads.layout, e.limits.SizeBytes, rng)
		}
		b := e.buffers.get(length)
		clear(b.b[whole.Len:])
		inner := b.b[rng.Off-whole.Off:][:rng.Len]
		if r.Op == block.OpWrite {
			copy(inner, r.Data[rng.Off-r.Range.Off:])
		} else {
			clear(inner)
		}
		ev.Data = b
	}
	if !e.step(&ev, g) {
		if b, ok := ev.Data.(*buffer); ok {
			e.buffers.put(b)
		}
		e.answerGuest(g, block.ErrClosed)
	}
}

// deliver copies what was read to the guest and answers it.
func (e *Engine) deliver(x *Effect) {
	g, b := x.Guest.(*guestIO), x.Data.(*buffer)
	b.making.Wait()
	copy(g.req.Data[g.rng.Off-g.req.Range.Off:][:g.rng.Len], b.b[g.rng.Off-x.Range.Off:])
	e.buffers.put(b)
	e.answerGuest(g, nil)
}

func (e *Engine) answerGuest(g *guestIO, err error) {
	g.answer(err)
	*g = guestIO{}
	e.guestPool.Put(g)
}

// fill copies those bytes of the block in x.Source that lie outside of x.Keep into the payload.
func fill(x *Effect) {
	dst := x.Data.(*buffer).b[x.Offset:][:x.Range.Len]
	src := x.Source.(*buffer).b[x.Begin:]
	keep := x.Range.Intersect(x.Keep)
	if keep.Empty() {
		copy(dst, src)
		return
	}
	from, to := keep.Off-x.Range.Off, keep.End()-x.Range.Off
	copy(dst[:from], src[:from])
	copy(dst[to:], src[to:])
}

// link and unlink keep the list of requests that are not answered; with e.mu held.
func (e *Engine) link(g *guestIO) {
	g.linked, g.prev, g.next = true, nil, e.guests
	if e.guests != nil {
		e.guests.prev = g
	}
	e.guests = g
}

func (e *Engine) unlink(g *guestIO) {
	if !g.linked {
		return
	}
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		e.guests = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	}
	g.linked, g.next, g.prev = false, nil, nil
}
