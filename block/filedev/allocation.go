package filedev

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/block"
)

var _ block.Allocator = (*Device)(nil)

// Allocated implements block.Allocator with the file system's map of data and holes. A hole counts
// from the next whole block on, and a file system without a map says that all is allocated.
func (d *Device) Allocated(ctx context.Context, off int64) (allocated bool, bytes int64, err error) {
	one := block.Range{Off: off, Len: d.limits.BlockBytes}
	if err := d.admit(ctx, block.OpRead, one, 0); err != nil {
		return false, 0, err
	}
	data, err := d.seek(off, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // no data from here to the end
		return false, d.limits.SizeBytes - off, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		return true, d.limits.SizeBytes - off, nil
	case err != nil:
		return false, 0, d.wrap(block.OpRead, one, err)
	}
	// Blocks may be larger than what the file system counts in: a block with any data is allocated.
	if data = data &^ (d.limits.BlockBytes - 1); data > off {
		return false, min(data, d.limits.SizeBytes) - off, nil
	}
	hole, err := d.seek(off, unix.SEEK_HOLE)
	if err != nil {
		return false, 0, d.wrap(block.OpRead, one, err)
	}
	hole = (hole + d.limits.BlockBytes - 1) &^ (d.limits.BlockBytes - 1)
	return true, min(max(hole-off, d.limits.BlockBytes), d.limits.SizeBytes-off), nil
}

// seek moves the descriptor's own offset, which nothing else uses: all I/O names its offset.
func (d *Device) seek(off int64, whence int) (at int64, err error) {
	err = control(d.file, func(fd int) (err error) {
		at, err = unix.Seek(fd, off, whence)
		return err
	})
	return at, err
}
