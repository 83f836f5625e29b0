package rescue

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// setReader reads a set of parity, stripe by stripe: data from the legs that have it, and a block that its leg cannot
// give from the other blocks of its row, k of which are enough. Nothing is decoded that every leg could give.
//
// A row of which something is decoded is read from one leg more than k, if there is one, to see whether it fits
// together; of legs that the operator named, every row is read from all.
type setReader struct {
	geo     parity.Geometry
	code    *parity.Code
	layout  volume.Layout
	slots   [][]*Evidence // by slot: none if no leg of it is used, two while one took the other's place
	suspect bool          // all rows are to be held against their parity
	report  *Report

	content []byte      // of the region
	chunks  []*chunkRow // by chunk, of the stripe that is being read
	made    [][]byte    // by chunk: room for what is decoded
	misfits []bool      // by row: its blocks do not fit together
	parts   []parity.Part
	pieces  []parity.Piece
}

// chunkRow is some rows of one chunk of a stripe.
type chunkRow struct {
	legs    []*Evidence // that have it
	read    bool
	content []byte
	from    []volume.LegID // by row: which leg gave it; zero if none did
	decoded [][]volume.LegID
}

// newSetReader decides what becomes of the writes that were under way, and notes it in the report.
func newSetReader(c Choice, report *Report) (*setReader, error) {
	layout := c.Use[0].Layout
	geo, err := parity.NewGeometry(layout, report.SizeBytes)
	if err != nil {
		return nil, err
	}
	code, err := parity.NewCode(layout)
	if err != nil {
		return nil, err
	}
	if report.Recovery, err = recoverSet(c.Use, geo); err != nil {
		return nil, err
	}
	rows := layout.Chunk / volume.BlockBytes
	s := &setReader{geo: geo, code: code, layout: layout, slots: make([][]*Evidence, layout.Legs()),
		suspect: c.Explicit, report: report, content: make([]byte, volume.RegionBytes),
		misfits: make([]bool, rows)}
	for _, e := range c.Use {
		if e.Slot < 0 || e.Slot >= layout.Legs() {
			return nil, fmt.Errorf("leg %s is of slot %d of %s", e.Leg, e.Slot, layout)
		}
		s.slots[e.Slot] = append(s.slots[e.Slot], e)
	}
	for range layout.Legs() {
		s.chunks = append(s.chunks, &chunkRow{content: make([]byte, layout.Chunk), from: make([]volume.LegID, rows),
			decoded: make([][]volume.LegID, rows)})
		s.made = append(s.made, make([]byte, layout.Chunk))
	}
	return s, nil
}

// reportTo implements reader.
func (s *setReader) reportTo(report *Report) { s.report = report }

// read implements reader.
func (s *setReader) read(ctx context.Context, off int64) ([]byte, error) {
	span := block.Range{Off: off, Len: min(volume.RegionBytes, s.report.SizeBytes-off)}
	s.parts = s.geo.Parts(s.parts[:0], span)
	for _, part := range s.parts {
		if err := s.readPart(ctx, part, off); err != nil {
			return nil, err
		}
	}
	return s.content[:span.Len], nil
}

// readPart reads what a region, which begins at base, has of one stripe.
func (s *setReader) readPart(ctx context.Context, part parity.Part, base int64) error {
	s.pieces = s.geo.Pieces(s.pieces[:0], part.Range)
	rows := s.pieces[0].OnLeg()
	for _, p := range s.pieces[1:] {
		end := max(rows.End(), p.Off+p.Range.Len)
		rows.Off = min(rows.Off, p.Off)
		rows.Len = end - rows.Off
	}
	s.begin(part.Stripe)
	for _, p := range s.pieces {
		if err := s.load(ctx, p.Chunk, rows); err != nil {
			return err
		}
	}
	if err := s.complete(ctx, rows); err != nil {
		return err
	}
	for _, p := range s.pieces {
		s.take(p, rows, base)
	}
	return nil
}

// begin forgets the stripe before.
func (s *setReader) begin(stripe int64) {
	for i, c := range s.chunks {
		c.legs, c.read = s.slots[s.geo.Slot(stripe, i)], false
		clear(c.from)
		clear(c.decoded)
	}
	clear(s.misfits)
}

// load reads rows of a chunk from the legs that have it, as far as they can give them.
func (s *setReader) load(ctx context.Context, chunk int, rows block.Range) error {
	c := s.chunks[chunk]
	if c.read {
		return nil
	}
	c.read = true
	first := rows.Off / volume.BlockBytes
	for _, e := range c.legs {
		bad := map[int64]bool{} // few
		content := s.made[chunk][:rows.Len]
		clear(content)
		err := e.leg.Blocks(ctx, rows, func(b leg.ReadOnlyBlock) error {
			if b.State != leg.BlockGood {
				bad[b.Number-first] = true
			} else {
				copy(rowOf(content, b.Number-first), b.Content)
			}
			return nil
		})
		if err != nil {
			return err
		}
		whole := true
		for i := range rows.Len / volume.BlockBytes {
			if c.from[i].IsZero() && !bad[i] {
				copy(rowOf(c.content, i), rowOf(content, i))
				c.from[i] = e.Leg
			}
			whole = whole && !c.from[i].IsZero()
		}
		if whole {
			break
		}
	}
	return nil
}

func rowOf(content []byte, i int64) []byte { return content[i*volume.BlockBytes:][:volume.BlockBytes] }

// complete decodes what the legs of the pieces could not give, and holds rows against their parity that are suspect.
func (s *setReader) complete(ctx context.Context, rows block.Range) error {
	n := rows.Len / volume.BlockBytes
	suspect := func(i int64) bool { return s.suspect || s.lacking(i) }
	enough := func() bool { // k blocks of each such row, and one to see whether they fit
		for i := range n {
			if suspect(i) && (s.suspect || s.good(i) <= s.layout.Data) {
				return false
			}
		}
		return true
	}
	for chunk := range s.chunks {
		if enough() {
			break
		}
		if err := s.load(ctx, chunk, rows); err != nil {
			return err
		}
	}
	for i := int64(0); i < n; {
		end := i + 1
		for end < n && s.alike(i, end) {
			end++
		}
		if suspect(i) && s.good(i) >= s.layout.Data {
			if err := s.decode(i, end); err != nil {
				return err
			}
		}
		i = end
	}
	return nil
}

// lacking reports whether a row lacks a block that is wanted.
func (s *setReader) lacking(row int64) bool {
	return slices.ContainsFunc(s.pieces, func(p parity.Piece) bool { return s.chunks[p.Chunk].from[row].IsZero() })
}

// good counts the blocks of a row that are there.
func (s *setReader) good(row int64) int {
	n := 0
	for _, c := range s.chunks {
		if !c.from[row].IsZero() {
			n++
		}
	}
	return n
}

// alike reports whether two rows were read from the same legs.
func (s *setReader) alike(a, b int64) bool {
	return !slices.ContainsFunc(s.chunks, func(c *chunkRow) bool { return c.from[a] != c.from[b] })
}

// decode makes what is lacking in rows [i, end), which were read from the same legs, from the first k blocks of each,
// and holds the others against what they should be.
func (s *setReader) decode(i, end int64) error {
	from := make([]volume.LegID, 0, s.layout.Data)
	shards := make([][]byte, len(s.chunks))
	wanted := make([]bool, len(s.chunks))
	for chunk, c := range s.chunks {
		there := !c.from[i].IsZero()
		if there && len(from) < s.layout.Data {
			shards[chunk] = rowsOf(c.content, i, end)
			from = append(from, c.from[i])
			continue
		}
		shards[chunk] = rowsOf(s.made[chunk], i, end)[:0]
		wanted[chunk] = there || slices.ContainsFunc(s.pieces, func(p parity.Piece) bool { return p.Chunk == chunk })
	}
	if !slices.Contains(wanted, true) {
		return nil
	}
	if err := s.code.Reconstruct(shards, wanted); err != nil {
		return err
	}
	for chunk, c := range s.chunks {
		if !wanted[chunk] {
			continue
		}
		for row := i; row < end; row++ {
			have, made := rowOf(c.content, row), rowOf(shards[chunk], row-i)
			if c.from[row].IsZero() {
				copy(have, made)
				c.decoded[row] = from
			} else if !bytes.Equal(have, made) {
				s.misfits[row] = true
			}
		}
	}
	return nil
}

func rowsOf(content []byte, i, end int64) []byte {
	return content[i*volume.BlockBytes : end*volume.BlockBytes : end*volume.BlockBytes]
}

// take puts a piece into the region, which begins at base, and notes where its blocks are from.
func (s *setReader) take(p parity.Piece, rows block.Range, base int64) {
	c := s.chunks[p.Chunk]
	for done := int64(0); done < p.Range.Len; done += volume.BlockBytes {
		off, row := p.Range.Off+done, (p.Off+done-rows.Off)/volume.BlockBytes
		to := rowOf(s.content, (off-base)/volume.BlockBytes)
		from, decoded := c.from[row], c.decoded[row]
		if from.IsZero() && decoded == nil {
			clear(to)
			note(&s.report.Unreadable, off, volume.LegID{})
			continue
		}
		copy(to, rowOf(c.content, row))
		var owner volume.LegID
		if len(c.legs) > 0 {
			owner = c.legs[0].Leg
		}
		switch {
		case decoded != nil:
			s.report.noteDecoded(off, owner, decoded)
		case from != owner:
			note(&s.report.FromOther, off, from)
		}
		if s.misfits[row] {
			note(&s.report.Diverged, off, from)
		}
	}
}
