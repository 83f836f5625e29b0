package mirror

import (
	"bytes"
	"fmt"

	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// payloads makes what legs of parity get of a write, and what is lost from what is left. The Core says when; it never
// sees a byte.
type payloads struct {
	layout volume.Layout
	code   *parity.Code
}

// newPayloads returns nil for a mirror, whose legs all get the same.
func newPayloads(l volume.Layout) (*payloads, error) {
	if l.Kind != volume.KindParity {
		return nil, nil
	}
	code, err := parity.NewCode(l)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return &payloads{layout: l, code: code}, nil
}

// change makes what each parity chunk is to add when data chunk d changes from before to after. The slices of deltas
// are as long, with any content.
func (p *payloads) change(d int, before, after, scratch []byte, deltas [][]byte) error {
	parity.Change(scratch, before, after)
	for _, delta := range deltas {
		clear(delta)
	}
	return p.code.AddChange(d, scratch, deltas)
}

// encode makes the parity of a whole stripe, whose data chunks lie one behind the other.
func (p *payloads) encode(data []byte, chunks [][]byte) error {
	size := len(data) / p.layout.Data
	all := make([][]byte, 0, p.layout.Legs())
	for d := range p.layout.Data {
		all = append(all, data[d*size:][:size])
	}
	return p.code.Encode(append(all, chunks...))
}

// decode makes one chunk from those that are there into dst.
func (p *payloads) decode(chunk int, parts [][]byte, dst []byte) ([]byte, error) {
	wanted := make([]bool, p.layout.Legs())
	wanted[chunk] = true
	parts[chunk] = dst[:0]
	if err := p.code.Reconstruct(parts, wanted); err != nil {
		return nil, err
	}
	return parts[chunk], nil
}

// part returns what the leg of a chunk gets of a write: the data or a part of it, or what was made for parity.
func (p *payloads) part(plan *StagePlan, chunk int, data []byte, made func(j int) []byte) []byte {
	switch {
	case plan.Repair:
		return data
	case chunk >= p.layout.Data:
		return made(chunk - p.layout.Data)
	case plan.Full:
		size := len(data) / p.layout.Data
		return data[chunk*size:][:size]
	}
	return data
}

// verify returns which blocks of some rows are not what the first k chunks that are there make of them.
func (p *payloads) verify(parts [][]byte, blockBytes int) (bad []uint32, err error) {
	made, wanted := make([][]byte, len(parts)), make([]bool, len(parts))
	there, size := 0, 0
	for n, part := range parts {
		if len(part) == 0 {
			continue
		}
		size = len(part)
		if there++; there <= p.layout.Data {
			made[n] = part
		} else {
			wanted[n] = true
		}
	}
	if err := p.code.Reconstruct(made, wanted); err != nil {
		return nil, err
	}
	for at := 0; at < size; at += blockBytes {
		for n, part := range parts {
			if wanted[n] && !bytes.Equal(part[at:][:blockBytes], made[n][at:][:blockBytes]) {
				bad = append(bad, uint32(at/blockBytes))
				break
			}
		}
	}
	return bad, nil
}
