package sim

import (
	"bytes"
	"encoding/binary"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// What legs of parity get is computed with the real code, over the values that stand for sectors.

// bytesOf turns blocks into the bytes that the code works on.
func bytesOf(blocks []content) []byte {
	b := make([]byte, 0, len(blocks)*4*sectors)
	for i := range blocks {
		for _, v := range blocks[i] {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
	}
	return b
}

// blocksFrom is the inverse of bytesOf.
func blocksFrom(b []byte) []content {
	out := make([]content, len(b)/(4*sectors))
	for i := range out {
		for s := range out[i] {
			out[i][s] = binary.LittleEndian.Uint32(b[(i*sectors+s)*4:])
		}
	}
	return out
}

// compute carries out an effect that makes payload of a set of parity.
func (h *host) compute(x *mirror.Effect) {
	p, data := h.w.set, x.Data.(*payload)
	var err error
	switch x.Kind {
	case mirror.EffectChange:
		old, first := x.Source.(*payload), x.Begin/blockBytes
		change := bytesOf(old.blocks[first:][:len(data.blocks)])
		parity.Change(change, change, bytesOf(data.blocks))
		made := zeroed(p.layout.Extra, len(change))
		if err = p.code.AddChange(x.Chunk, change, made); err == nil {
			data.parity = made
		}
	case mirror.EffectEncode:
		all := bytesOf(data.blocks)
		size := len(all) / p.layout.Data
		chunks := make([][]byte, 0, p.layout.Legs())
		for d := range p.layout.Data {
			chunks = append(chunks, all[d*size:][:size])
		}
		chunks = append(chunks, zeroed(p.layout.Extra, size)...)
		if err = p.code.Encode(chunks); err == nil {
			data.parity = chunks[p.layout.Data:]
		}
	case mirror.EffectTrim:
		data.parity = nil
	case mirror.EffectDecode:
		err = h.decode(x, data)
	}
	if err != nil {
		h.w.fail("payload", "%s: %v", h.name, err)
	}
}

func zeroed(n, size int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = make([]byte, size)
	}
	return list
}

// decode puts the chunk that was lost into its payload and releases the others.
func (h *host) decode(x *mirror.Effect, keep *payload) error {
	parts, wanted := make([][]byte, len(x.Parts)), make([]bool, len(x.Parts))
	for n, part := range x.Parts {
		if part != nil {
			parts[n] = bytesOf(part.(*payload).blocks)
		}
	}
	wanted[x.Chunk] = true
	if err := h.w.set.code.Reconstruct(parts, wanted); err != nil {
		return err
	}
	keep.blocks = blocksFrom(parts[x.Chunk])
	for _, part := range x.Parts {
		if part != nil && part != x.Data {
			part.(*payload).release(h.w)
		}
	}
	return nil
}

// verify finds what does not fit together, and reports it.
func (h *host) verify(x *mirror.Effect) {
	bad, err := h.w.set.misfits(h.w, x)
	if err != nil {
		h.w.fail("payload", "%s: %v", h.name, err)
		return
	}
	if !h.over() {
		h.step(&mirror.Event{Kind: mirror.EventVerified, Req: x.Req, Reply: mirror.Reply{Bad: bad}})
	}
}

// misfits returns the rows of which a chunk is not what the others make of it, and releases them. How many rows there
// are the chunks say: the effect names no range.
func (p *paritySet) misfits(w *world, x *mirror.Effect) (bad []uint32, err error) {
	made, wanted := make([][]byte, len(x.Parts)), make([]bool, len(x.Parts))
	parts := make([][]byte, len(x.Parts))
	there, size := 0, 0
	for n, part := range x.Parts {
		if part == nil {
			continue
		}
		parts[n] = bytesOf(part.(*payload).blocks)
		size = len(parts[n])
		if there++; there <= p.layout.Data {
			made[n] = parts[n]
		} else {
			wanted[n] = true
		}
		part.(*payload).release(w)
	}
	if err := p.code.Reconstruct(made, wanted); err != nil {
		return nil, err
	}
	const row = 4 * sectors
	for at := 0; at < size; at += row {
		for n := range parts {
			if wanted[n] && !bytes.Equal(parts[n][at:][:row], made[n][at:][:row]) {
				bad = append(bad, uint32(at/row))
				break
			}
		}
	}
	return bad, nil
}

// part returns what the leg of a chunk gets of a staged write.
func (p *payload) part(x *mirror.Effect, data int) []content {
	if p.transactions == nil {
		p.transactions, p.storedBy = map[volume.Transaction]bool{}, map[volume.LegID]bool{}
	}
	p.transactions[x.Stage.Transaction] = true
	switch {
	case x.Stage.Repair:
	case x.Chunk >= data:
		return blocksFrom(p.parity[x.Chunk-data])
	case x.Stage.Full:
		size := len(p.blocks) / data
		return append([]content(nil), p.blocks[x.Chunk*size:][:size]...)
	}
	return append([]content(nil), p.blocks...)
}
