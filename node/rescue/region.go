package rescue

import (
	"bytes"
	"context"
	"errors"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// blocksPerRegion is how many checksums a region has.
const blocksPerRegion = volume.RegionBytes / volume.BlockBytes

// regionReader reads a mirror region by region from the legs that were chosen, and notes in the report
// where it had to choose.
type regionReader struct {
	legs   []*regionCopy
	report *Report
}

// regionCopy is one leg's content of one region, with the buffers for it.
type regionCopy struct {
	id      volume.LegID
	leg     *leg.ReadOnlyLeg
	content []byte
	states  []leg.BlockState
	sums    []byte
}

func newRegionReader(use []*Evidence, report *Report) *regionReader {
	r := &regionReader{report: report}
	for _, e := range use {
		r.legs = append(r.legs, &regionCopy{
			id: e.Leg, leg: e.leg, content: make([]byte, volume.RegionBytes),
			states: make([]leg.BlockState, blocksPerRegion), sums: make([]byte, 4*blocksPerRegion),
		})
	}
	return r
}

// reportTo implements reader.
func (r *regionReader) reportTo(report *Report) { r.report = report }

// load reads a region of the leg.
func (c *regionCopy) load(ctx context.Context, r block.Range) error {
	clear(c.content)
	clear(c.states) // what is not visited is good, and zero
	first := r.Off / volume.BlockBytes
	return c.leg.Blocks(ctx, r, func(b leg.ReadOnlyBlock) error {
		i := b.Number - first
		c.states[i] = b.State
		copy(c.block(i), b.Content)
		return nil
	})
}

func (c *regionCopy) block(i int64) []byte {
	return c.content[i*volume.BlockBytes:][:volume.BlockBytes]
}

// read implements reader.
func (r *regionReader) read(ctx context.Context, off int64) ([]byte, error) {
	span := block.Range{Off: off, Len: min(volume.RegionBytes, r.report.SizeBytes-off)}
	first := r.legs[0]
	if err := first.load(ctx, span); err != nil {
		return nil, err
	}
	count := span.Len / volume.BlockBytes
	marked, whole := false, true
	for _, c := range r.legs {
		marked = marked || c.leg.RegionMarked(off)
	}
	for i := range count {
		whole = whole && first.states[i] == leg.BlockGood
	}
	agree, err := r.sumsAgree(ctx, span)
	if err != nil {
		return nil, err
	}
	if marked || !whole || !agree {
		for _, c := range r.legs[1:] {
			if err := c.load(ctx, span); err != nil {
				return nil, err
			}
		}
		for i := range count {
			r.settle(i, off+i*volume.BlockBytes, marked)
		}
	}
	return first.content[:span.Len], nil
}

// sumsAgree reports whether all legs have the same checksums in span, so that none needs to be read to
// know that it has the same good blocks.
func (r *regionReader) sumsAgree(ctx context.Context, span block.Range) (bool, error) {
	n := span.Len / volume.BlockBytes * 4
	for _, c := range r.legs {
		if len(r.legs) == 1 {
			return true, nil
		}
		err := c.leg.Sums(ctx, span, c.sums[:n])
		if errors.Is(err, block.ErrMedium) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !bytes.Equal(c.sums[:n], r.legs[0].sums[:n]) {
			return false, nil
		}
	}
	return true, nil
}

// settle decides on block i of the region, at byte off of the volume, and puts what counts into the first
// leg's content.
func (r *regionReader) settle(i, off int64, marked bool) {
	first, rest := r.legs[0], r.legs[1:]
	if first.states[i] == leg.BlockGood {
		r.compare(rest, i, off, marked)
		return
	}
	for n, c := range rest {
		if c.states[i] == leg.BlockGood {
			copy(first.block(i), c.block(i))
			note(&r.report.FromOther, off, c.id)
			r.compare(rest[n+1:], i, off, marked)
			return
		}
	}
	if marked { // as an engine would before it serves: what one leg holds counts (protocol-flush F)
		for _, c := range r.legs {
			if c.states[i] != leg.BlockUnreadable {
				copy(first.block(i), c.block(i))
				note(&r.report.Adopted, off, c.id)
				return
			}
		}
	}
	clear(first.block(i))
	note(&r.report.Unreadable, off, volume.LegID{})
}

// compare notes if one of these legs has something else in block i, whole by its checksum, than what
// counts.
func (r *regionReader) compare(legs []*regionCopy, i, off int64, marked bool) {
	first := r.legs[0]
	for _, c := range legs {
		switch {
		case c.states[i] != leg.BlockGood || bytes.Equal(c.block(i), first.block(i)):
			continue
		case marked:
			note(&r.report.Differing, off, first.id)
		default:
			note(&r.report.Diverged, off, first.id)
		}
		return
	}
}

// isZero compares p with itself, one byte further on.
func isZero(p []byte) bool { return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1]) }
