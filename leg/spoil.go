package leg

import (
	"context"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// sumSpoiled is the checksum of zeroes that count as bad: no block of zeroes has it.
const sumSpoiled = sumUnderWay + 1

// Spoil makes the blocks of r bad, for good until they are written: what they held is lost, and must not be taken for
// good if the medium can read it again.
func (d *checkedData) Spoil(ctx context.Context, r block.Range) error {
	id, err := d.underway.enter(ctx, r, false)
	if err != nil {
		return err
	}
	defer d.underway.leave(id)
	buf := d.buffer(r.Len)
	defer d.buffers.Put(buf)
	for i := range r.Len / volume.BlockBytes {
		putSum(buf.next, i, sumSpoiled)
	}
	if err := d.writeSums(r, buf.next); err != nil {
		return err
	}
	return d.data.Zero(context.WithoutCancel(ctx), r, 0)
}
