// Package memdev offers memory as a block.Device: for tests, and as the peer to measure other
// devices against. It takes up space only for what was written. Everything is lost with the
// process; a flush promises nothing more than order.
package memdev

import (
	"context"
	"fmt"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
)

// chunkBytes is the unit in which memory is taken and given back.
const chunkBytes = 64 << 10

// MaxBytes is the longest single request.
const MaxBytes = 32 << 20

// Options configures New.
type Options struct {
	SizeBytes  int64 // a multiple of BlockBytes
	BlockBytes int64 // unit of requests, a power of two; zero means 512
	ReadOnly   bool
}

// Device is a block.Device in memory. It is safe for use by many goroutines.
type Device struct {
	limits block.Limits

	mu     sync.RWMutex // protects what follows
	chunks map[int64][]byte
	closed bool
}

var _ block.Device = (*Device)(nil)

// New returns an empty device, which reads as zeroes. Sizes that are no whole blocks are an error.
func New(o Options) (*Device, error) {
	if o.BlockBytes == 0 {
		o.BlockBytes = 512
	}
	if o.BlockBytes < 1 || o.BlockBytes&(o.BlockBytes-1) != 0 ||
		o.SizeBytes <= 0 || o.SizeBytes%o.BlockBytes != 0 {
		return nil, fmt.Errorf("memory device: size %d is no whole number of blocks of %d bytes",
			o.SizeBytes, o.BlockBytes)
	}
	return &Device{chunks: make(map[int64][]byte), limits: block.Limits{
		SizeBytes:  o.SizeBytes,
		BlockBytes: o.BlockBytes,
		MaxBytes:   MaxBytes,
		ReadOnly:   o.ReadOnly,
		CanUnmap:   !o.ReadOnly,
	}}, nil
}

// Limits returns the device's limits.
func (d *Device) Limits() block.Limits { return d.limits }

// Read fills p from off.
func (d *Device) Read(ctx context.Context, p []byte, off int64) error {
	r := block.Range{Off: off, Len: int64(len(p))}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.admit(ctx, block.OpRead, r); err != nil {
		return err
	}
	for len(p) > 0 {
		index, within, n := split(off, len(p))
		if chunk := d.chunks[index]; chunk != nil {
			copy(p[:n], chunk[within:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// Write stores p at off.
func (d *Device) Write(ctx context.Context, p []byte, off int64, _ block.Flags) error {
	r := block.Range{Off: off, Len: int64(len(p))}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.admit(ctx, block.OpWrite, r); err != nil {
		return err
	}
	for len(p) > 0 {
		index, within, n := split(off, len(p))
		if d.chunks[index] == nil {
			d.chunks[index] = make([]byte, chunkBytes)
		}
		copy(d.chunks[index][within:], p[:n])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// Zero makes r read as zeroes and gives whole chunks of memory back.
func (d *Device) Zero(ctx context.Context, r block.Range, _ block.Flags) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.admit(ctx, block.OpZero, r); err != nil {
		return err
	}
	for off := r.Off; off < r.End(); {
		index, within, n := split(off, int(min(r.End()-off, chunkBytes)))
		if n == chunkBytes {
			delete(d.chunks, index)
		} else if chunk := d.chunks[index]; chunk != nil {
			clear(chunk[within : within+n])
		}
		off += int64(n)
	}
	return nil
}

// Flush has nothing to do: memory has no cache in front of it.
func (d *Device) Flush(ctx context.Context) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.admit(ctx, block.OpFlush, block.Range{})
}

// Close gives the memory back.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("memory device: close: %w", block.ErrClosed)
	}
	d.closed, d.chunks = true, nil
	return nil
}

// UsedBytes returns how much memory the device's contents take up.
func (d *Device) UsedBytes() int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return int64(len(d.chunks)) * chunkBytes
}

// admit refuses a request that is not well formed or comes too late. The caller holds mu.
func (d *Device) admit(ctx context.Context, op block.Op, r block.Range) error {
	err := d.limits.Check(op, r, 0)
	if err == nil && d.closed {
		err = block.ErrClosed
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("memory device: %s %s: %w", op, r, err)
	}
	return nil
}

// split returns the chunk that holds off, the place in it, and how many of length bytes it holds.
func split(off int64, length int) (index int64, within, n int) {
	within = int(off % chunkBytes)
	return off / chunkBytes, within, min(length, chunkBytes-within)
}
