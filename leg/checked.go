package leg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// checkedData is the data of a leg with a checksum for each block: nothing that it returns is anything
// but what was written last, or zeroes where nothing was.
//
//	Write: "under way" ─▶ data ─▶ checksums := those of the data ─▶ no more under way
//	Read:  data, checksums ─▶ equal? ─▶ if not, once more with writes held off ─▶ block.ErrMedium
//
// "Under way" is told to the witness, or to the checksums where there is none. A process that dies in between leaves
// it, and its successor settles the blocks: nobody was told that the write was done. A power cut leaves any mix of old
// and new, which shows as a mismatch in a region that is marked.
//
// Requests are whole blocks inside the device: who calls has checked. It is safe for use by many
// goroutines, holds no lock across I/O and allocates nothing for a request in steady state.
//
// Invariant: outside of marked regions, a block whose checksum does not match is corrupt.
// Invariant: after a change that failed but for good, each block is old, new or a mix of the two per
// sector, and its checksum says so: a block that was bad before and was not reached stays bad.
type checkedData struct {
	data, sums Data
	leg        volume.LegID
	crashGen   uint64   // the leg's, from its start on
	witness    *witness // the store's; nil until the leg has started, or if there is none
	underway   underway
	buffers    sync.Pool     // of *sumsBuffer
	scanners   sync.Pool     // of *scanner
	mismatches atomic.Uint64 // reads of a block that did not match
}

// newCheckedData has no witness: a leg gets it once it has started (Store.openLeg).
func newCheckedData(data, sums Data, id volume.LegID) *checkedData {
	return &checkedData{data: data, sums: sums, leg: id}
}

// sumsBuffer holds the checksums of one request.
type sumsBuffer struct{ old, next []byte }

// buffer returns a buffer for the checksums of n bytes of data; it goes back with buffers.Put.
func (d *checkedData) buffer(n int64) *sumsBuffer {
	b, _ := d.buffers.Get().(*sumsBuffer)
	if b == nil {
		b = &sumsBuffer{}
	}
	size := int(n / volume.BlockBytes * sumBytes)
	b.old, b.next = slices.Grow(b.old[:0], size)[:size], slices.Grow(b.next[:0], size)[:size]
	return b
}

// Read fills p from off. A block that is not what was written last is a block.ErrMedium that names it,
// and p holds nothing then.
func (d *checkedData) Read(ctx context.Context, p []byte, off int64) error {
	bad, err := d.readOnce(ctx, p, off)
	if err == nil && bad >= 0 {
		// Without asking anybody a write of the block may have been under way.
		if bad, err = d.readAlone(ctx, p, off); err == nil && bad >= 0 {
			d.mismatches.Add(1)
			err = badBlock(bad)
		}
	}
	if err != nil {
		clear(p)
	}
	return err
}

// readAlone is readOnce while no change of these blocks is under way.
func (d *checkedData) readAlone(ctx context.Context, p []byte, off int64) (bad int64, err error) {
	id, err := d.underway.enter(ctx, block.Range{Off: off, Len: int64(len(p))}, true)
	if err != nil {
		return -1, err
	}
	defer d.underway.leave(id)
	return d.readOnce(ctx, p, off)
}

// readOnce reads data and checksums and returns the first block that does not match, -1 if all do. One
// that matches was what it is at the moment when it was read, whoever was changing it.
func (d *checkedData) readOnce(ctx context.Context, p []byte, off int64) (bad int64, err error) {
	if err := d.data.Read(ctx, p, off); err != nil {
		return -1, err
	}
	r := block.Range{Off: off, Len: int64(len(p))}
	buf := d.buffer(r.Len)
	defer d.buffers.Put(buf)
	if err := d.sums.Read(ctx, buf.old, sumsRange(r).Off); err != nil {
		return -1, fmt.Errorf("checksums: %w", err)
	}
	first := off / volume.BlockBytes
	for i := int64(0); i < r.Len/volume.BlockBytes; i++ {
		content := p[i*volume.BlockBytes:][:volume.BlockBytes]
		if getSum(buf.old, i) != blockSum(first+i, content) {
			return first + i, nil
		}
	}
	return -1, nil
}

// Reserve sets space aside for the blocks of r that have none, so that writing them does not fail for want of it.
// Blocks with a checksum have theirs.
func (d *checkedData) Reserve(r block.Range) error {
	buf := d.buffer(r.Len)
	defer d.buffers.Put(buf)
	if err := d.readSums(r, buf.old); err != nil {
		return err
	}
	blocks := r.Len / volume.BlockBytes
	for i := int64(0); i < blocks; i++ {
		first := i
		for i < blocks && getSum(buf.old, i) == sumZero {
			i++
		}
		if i == first {
			continue
		}
		hole := block.Range{Off: r.Off + first*volume.BlockBytes, Len: (i - first) * volume.BlockBytes}
		if err := d.data.Reserve(hole); err != nil {
			return err
		}
	}
	return nil
}

// Flush returns when all data and checksums whose writes had completed are on stable storage. The two
// files are synced side by side. The error wraps block.ErrFailed, after which nothing may be relied on.
func (d *checkedData) Flush(ctx context.Context) error {
	sums := make(chan error, 1)
	go func() { sums <- d.sums.Flush(ctx) }()
	err := d.data.Flush(ctx)
	return errors.Join(err, <-sums)
}

// Probe reads block n from the medium. matches is false if it is not what was written last.
func (d *checkedData) Probe(ctx context.Context, n int64) (matches bool, err error) {
	r := block.Range{Off: n * volume.BlockBytes, Len: volume.BlockBytes}
	if err := d.dropCache(r); err != nil {
		return false, err
	}
	p := make([]byte, volume.BlockBytes)
	bad, err := d.readOnce(ctx, p, r.Off)
	if err == nil && bad >= 0 {
		bad, err = d.readAlone(ctx, p, r.Off)
	}
	return bad < 0, err
}

func (d *checkedData) dropCache(r block.Range) error {
	if err := d.data.DropCache(r); err != nil {
		return err
	}
	return d.sums.DropCache(sumsRange(r))
}

// AllocatedBytes is the space that data and checksums take up.
func (d *checkedData) AllocatedBytes() (int64, error) {
	data, err := d.data.AllocatedBytes()
	if err != nil {
		return 0, err
	}
	sums, err := d.sums.AllocatedBytes()
	return data + sums, err
}

// Close closes both files.
func (d *checkedData) Close() error { return errors.Join(d.data.Close(), d.sums.Close()) }
