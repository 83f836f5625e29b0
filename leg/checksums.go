package leg

import (
	"context"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Checksums returns one CRC32C per block of r, which is made of whole blocks, in order, of what the
// blocks hold now; and the indices, ascending, of those that are not what was written last or cannot be
// read. With medium the bytes are read from the medium, not from the page cache. Holes cost no reading.
func (s *Session) Checksums(ctx context.Context, r block.Range, medium bool) (sums, bad []uint32, err error) {
	if err := s.leg.limits.Check(block.OpRead, r, 0); err != nil {
		return nil, nil, fmt.Errorf("leg %s: checksums of %s: %w", s.leg.id, r, err)
	}
	ticket, err := s.enter(ctx, false, r, nil)
	if err != nil {
		return nil, nil, err
	}
	if j := s.leg.staged; j != nil {
		sums, bad, err = j.Checksums(ctx, r, medium)
	} else {
		sums, bad, err = s.leg.data.Checksums(ctx, r, medium)
	}
	if err = s.finish(ticket, err); err != nil {
		return nil, nil, err
	}
	return sums, bad, nil
}

// Adopt makes what the bad blocks of r hold now count as what was written. After a power cut a block of a
// marked region may be old, new or a mix of its sectors, and when no leg has a whole one, one of them has
// to do. A bad block in a region that is not marked, or of a leg whose marks are all of this boot, is
// corrupt: that is ErrInvalid, and it stays bad. One that the medium cannot read is block.ErrMedium. What
// comes before it was adopted. A leg of parity adopts nothing: its journal writes anew what a power cut may have torn,
// and any other block is made from the other legs.
func (s *Session) Adopt(ctx context.Context, r block.Range) error {
	if err := s.leg.limits.Check(block.OpWrite, r, 0); err != nil {
		return fmt.Errorf("leg %s: adopt %s: %w", s.leg.id, r, err)
	}
	if s.leg.staged != nil {
		return fmt.Errorf("leg %s: adopt %s: %w: a block of parity is made from the other legs", s.leg.id, r,
			ErrInvalid)
	}
	for !r.Empty() {
		part := r.Intersect(regionBounds(uint32(r.Off/volume.RegionBytes), s.leg.limits.SizeBytes))
		if err := s.adoptRegion(ctx, part); err != nil {
			return err
		}
		r.Off, r.Len = part.End(), r.End()-part.End()
	}
	return nil
}

// adoptRegion adopts the bad blocks of r, which lies within one region.
func (s *Session) adoptRegion(ctx context.Context, r block.Range) error {
	_, bad, err := s.Checksums(ctx, r, false)
	if err != nil || len(bad) == 0 {
		return err
	}
	// A request that changes would be marked at the gate if it were not; and a STABLE may clear the mark
	// at any time before.
	ticket, err := s.enter(ctx, true, r, func() error {
		if s.leg.core.MayBeTorn(r) {
			return nil
		}
		return fmt.Errorf("leg %s: adopt: %w: no power cut can have torn %s, so block %d is corrupt",
			s.leg.id, ErrInvalid, r, r.Off/volume.BlockBytes+int64(bad[0]))
	})
	if err != nil {
		return err
	}
	return s.finish(ticket, s.durable(0, s.leg.data.Adopt(ctx, r)))
}

// MayBeTorn reports whether a power cut may have torn writes to r: all its regions are marked, and some marks
// are of an earlier boot. Without either, a block that does not match its checksum is corrupt.
func (c *Core) MayBeTorn(r block.Range) bool {
	return (c.label.Mixed || c.label.OpenBoot != c.boot) && c.marked(r)
}

// marked reports whether all regions of r are marked.
func (c *Core) marked(r block.Range) bool {
	first, end := c.regions.span(r)
	for i := first; i < end; i++ {
		if !c.regions.Marked(i) {
			return false
		}
	}
	return true
}
