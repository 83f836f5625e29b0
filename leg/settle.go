package leg

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// settle ends the writes that a process which died had under way, in the boot in which its marks were
// made, and proves that the page cache was kept (protocol-flush F, "Evidence of a kept cache"): in
// marked regions each block must match its checksum or be under way, as its checksum says or the witness. Nobody
// was told that those writes were done, so whatever their blocks hold is right. It returns false if a block does not
// match, or cannot be read: then the leg counts as lossy, and nothing is settled, since what was under way may be torn.
// What was written is not synced: the marks stay.
func (s *Store) settle(files legFiles, regions *Regions) bool {
	sums := map[int64]uint32{} // of the blocks under way: no more than a process has in flight
	err := files.data.eachMarked(regions, func(r block.Range) error {
		return files.data.unsettled(r, files.left, func(n int64, sum uint32) { sums[n] = sum })
	})
	for n, sum := range sums {
		if err == nil {
			err = files.data.writeSum(n, sum)
		}
	}
	if err != nil {
		s.log.Error("the data does not match its checksums: the leg counts as lossy",
			"leg", regions.leg.String(), "error", err)
	}
	return err == nil
}

// eachMarked visits the marked regions, those that lie together as one range, until a visit fails.
func (d *checkedData) eachMarked(regions *Regions, visit func(block.Range) error) error {
	size, r := d.data.Limits().SizeBytes, block.Range{}
	for i, ok := regions.marks.next(0); ok; i, ok = regions.marks.next(i + 1) {
		next := regionBounds(i, size)
		if r.End() != next.Off {
			if err := visit(r); err != nil {
				return err
			}
			r = next
		}
		r.Len = next.End() - r.Off
	}
	return visit(r)
}

// regionBounds returns the bytes of a region of a leg of this size.
func regionBounds(region uint32, sizeBytes int64) block.Range {
	off := int64(region) * volume.RegionBytes
	return block.Range{Off: off, Len: min(volume.RegionBytes, sizeBytes-off)}
}
