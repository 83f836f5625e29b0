package filedev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/block"
)

// zeroBytes is the unit in which zeroes are written where the file system cannot punch holes.
const zeroBytes = 1 << 20

// Device is a block.Device over one open file. It is safe for use by many goroutines.
//
// System calls on a file cannot be given up: a context that ends is looked at before a request,
// not in the middle of it.
type Device struct {
	file   *os.File
	path   string
	limits block.Limits
	lost   atomic.Bool // a sync failed: what the page cache held may be gone
}

var _ block.Device = (*Device)(nil)

// Limits returns the device's limits.
func (d *Device) Limits() block.Limits { return d.limits }

// Path returns the path the device was opened with.
func (d *Device) Path() string { return d.path }

// Read fills p from off.
func (d *Device) Read(ctx context.Context, p []byte, off int64) error {
	r := block.Range{Off: off, Len: int64(len(p))}
	if err := d.admit(ctx, block.OpRead, r, 0); err != nil {
		return err
	}
	_, err := d.file.ReadAt(p, off)
	return d.wrap(block.OpRead, r, err)
}

// Write stores p at off; with FUA it is on stable storage when Write returns.
func (d *Device) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	r := block.Range{Off: off, Len: int64(len(p))}
	if err := d.admit(ctx, block.OpWrite, r, f); err != nil {
		return err
	}
	if n, err := d.file.WriteAt(p, off); err != nil {
		return d.wrap(block.OpWrite, r, &block.PartialError{StoredBytes: int64(n), Err: err})
	}
	return d.finish(block.OpWrite, r, f)
}

// Zero makes r read as zeroes: by a hole with Unmap, by allocated zeroes without, and by writing
// them where the file system knows neither.
func (d *Device) Zero(ctx context.Context, r block.Range, f block.Flags) error {
	if err := d.admit(ctx, block.OpZero, r, f); err != nil || r.Empty() {
		return err
	}
	mode := uint32(unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE)
	if f&block.Unmap != 0 {
		mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	}
	err := control(d.file, func(fd int) error { return unix.Fallocate(fd, mode, r.Off, r.Len) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		err = d.writeZeroes(ctx, r)
	}
	if err != nil {
		return d.wrap(block.OpZero, r, err)
	}
	return d.finish(block.OpZero, r, f)
}

func (d *Device) writeZeroes(ctx context.Context, r block.Range) error {
	zeroes := make([]byte, min(r.Len, zeroBytes))
	for done := int64(0); done < r.Len; {
		if err := ctx.Err(); err != nil {
			return &block.PartialError{StoredBytes: done, Err: err}
		}
		n, err := d.file.WriteAt(zeroes[:min(r.Len-done, int64(len(zeroes)))], r.Off+done)
		if done += int64(n); err != nil {
			return &block.PartialError{StoredBytes: done, Err: err}
		}
	}
	return nil
}

// Flush puts every completed write on stable storage.
func (d *Device) Flush(ctx context.Context) error {
	if err := d.admit(ctx, block.OpFlush, block.Range{}, 0); err != nil {
		return err
	}
	if d.limits.ReadOnly {
		return nil
	}
	return d.sync(block.OpFlush, block.Range{})
}

// Close closes the file and gives up its lock. It does not flush.
func (d *Device) Close() error {
	if err := d.file.Close(); err != nil {
		return d.wrap(block.OpFlush, block.Range{}, err)
	}
	return nil
}

func (d *Device) admit(ctx context.Context, op block.Op, r block.Range, f block.Flags) error {
	err := d.limits.Check(op, r, f)
	switch {
	case err != nil:
	case d.lost.Load():
		err = fmt.Errorf("an earlier sync failed, so writes may be lost: %w", block.ErrFailed)
	default:
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("device file %s: %s %s: %w", d.path, op, r, err)
	}
	return nil
}

// finish ends a change: with FUA, when it is on stable storage.
func (d *Device) finish(op block.Op, r block.Range, f block.Flags) error {
	if f&block.FUA == 0 {
		return nil
	}
	return d.sync(op, r)
}

func (d *Device) sync(op block.Op, r block.Range) error {
	err := control(d.file, unix.Fdatasync)
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		d.lost.Store(true)
		return fmt.Errorf("device file %s: %s %s: sync: %w: %w", d.path, op, r, block.ErrFailed, err)
	}
	return d.wrap(op, r, err)
}

// wrap names the device and gives a system error its meaning at the waist.
func (d *Device) wrap(op block.Op, r block.Range, err error) error {
	var kind error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrClosed):
		kind = block.ErrClosed
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		kind = block.ErrNoSpace
	case op == block.OpRead && errors.Is(err, io.EOF):
		kind = block.ErrFailed // somebody cut the file shorter: nothing in it can be trusted
	case op == block.OpRead && errors.Is(err, unix.EIO):
		kind = block.ErrMedium
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("device file %s: %s %s: %w", d.path, op, r, err)
	default:
		kind = block.ErrFailed
	}
	return fmt.Errorf("device file %s: %s %s: %w: %w", d.path, op, r, kind, err)
}
