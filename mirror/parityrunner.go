package mirror

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
)

// stageRequest is a record on its way to a leg, from a pool.
type stageRequest struct {
	StageRequest
	engine *Engine
	req    Req
}

// stage sends a record to a leg. Data stays the Core's until the answer.
func (e *Engine) stage(x *Effect) {
	r, _ := e.stagePool.Get().(*stageRequest)
	if r == nil {
		r = &stageRequest{engine: e}
		r.Complete = func(_ *StageRequest, err error) { r.done(err) }
	}
	r.req, r.Record = x.Req, x.Record(e.payloads.layout)
	b := x.Data.(*buffer)
	b.making.Wait()
	r.Data = e.payloads.part(x.Stage, x.Chunk, b.b, func(j int) []byte { return b.parity[j].b })
	e.runner(x.Leg).leg.Stage(&r.StageRequest)
}

// done takes the leg's answer.
func (r *stageRequest) done(err error) {
	e := r.engine
	ev := Event{Kind: EventDone, Req: r.req, Op: block.OpWrite, Err: err}
	r.Data, r.Record.Legs = nil, nil
	e.stagePool.Put(r)
	e.step(&ev, nil)
}

// compute carries out the effects that make payload of a set of parity. Arithmetic fails only on payload of the wrong
// length, which is a fault of this program: nothing that could follow would be right.
func (e *Engine) compute(x *Effect) {
	var err error
	switch x.Kind {
	case EffectChange:
		b, old := x.Data.(*buffer), x.Source.(*buffer)
		scratch := e.buffers.get(x.Range.Len)
		err = e.payloads.change(x.Chunk, old.b[x.Begin:][:x.Range.Len], b.b, scratch.b, e.makeParity(b, x.Range.Len))
		e.buffers.put(scratch)
	case EffectEncode:
		b := x.Data.(*buffer)
		err = e.payloads.encode(b.b, e.makeParity(b, int64(len(b.b))/int64(e.payloads.layout.Data)))
	case EffectTrim:
		e.dropParity(x.Data.(*buffer))
	case EffectDecode:
		err = e.decode(x)
	}
	if err != nil {
		panic(fmt.Errorf("%w: %w", ErrBug, err))
	}
}

// makeParity gives a buffer one of its own for each chunk of parity.
func (e *Engine) makeParity(b *buffer, size int64) [][]byte {
	made := b.made[:e.payloads.layout.Extra]
	for j := range made {
		b.parity[j] = e.buffers.get(size)
		made[j] = b.parity[j].b
	}
	return made
}

func (e *Engine) dropParity(b *buffer) {
	for j, part := range b.parity {
		e.buffers.put(part)
		b.parity[j], b.made[j] = nil, nil
	}
}

// decode puts the chunk that was lost into x.Data and releases the other rows.
func (e *Engine) decode(x *Effect) error {
	parts := partBytes(x.Parts)
	made, keep := e.buffers.get(x.Range.Len), x.Data.(*buffer)
	decoded, err := e.payloads.decode(x.Chunk, parts, made.b)
	if err != nil {
		return err
	}
	copy(keep.b, decoded)
	e.buffers.put(made)
	for _, part := range x.Parts {
		if part != nil && part != x.Data {
			e.buffers.put(part.(*buffer))
		}
	}
	return nil
}

// verify finds what does not fit together, and reports it.
func (e *Engine) verify(x Effect) {
	defer e.running.Done()
	bad, err := e.payloads.verify(partBytes(x.Parts), BlockBytes)
	if err != nil {
		panic(fmt.Errorf("%w: %w", ErrBug, err))
	}
	for _, part := range x.Parts {
		if part != nil {
			e.buffers.put(part.(*buffer))
		}
	}
	e.step(&Event{Kind: EventVerified, Req: x.Req, Reply: Reply{Bad: bad}}, nil)
}

// partBytes returns the bytes of chunks that are there.
func partBytes(handles []Handle) [][]byte {
	parts := make([][]byte, len(handles))
	for n, part := range handles {
		if part != nil {
			parts[n] = part.(*buffer).b
		}
	}
	return parts
}
