package leg

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// zeroPieceBytes bounds what Zero changes at once where there are checksums to clear, and with it what
// has to be read again if that fails.
const zeroPieceBytes = 64 << 20

// Write stores p at off. It has begun once no other change of these blocks is under way; ctx ends the
// wait for that, and no change that has begun. After an error that is not block.ErrFailed each block is
// old, new or a mix of the two, and can be read if it could be before.
func (d *checkedData) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	r := block.Range{Off: off, Len: int64(len(p))}
	id, err := d.underway.enter(ctx, r, false)
	if err != nil {
		return err
	}
	defer d.underway.leave(id)
	c := change{r: r, wanted: p, buf: d.buffer(r.Len)}
	defer d.buffers.Put(c.buf)
	if err := d.begin(&c); err != nil {
		return err
	}
	// One that gave up now would leave blocks of which nobody knows what they hold: it has no context.
	err = d.data.Write(context.Background(), p, off, f)
	stored := storedBytes(err, r.Len)
	if err == nil {
		putSums(c.buf.next, off/volume.BlockBytes, p)
		err = d.writeSums(r, c.buf.next)
	}
	return d.end(&c, stored, err)
}

// change is one change of blocks that is under way. Between begin and end their data and checksums may differ.
type change struct {
	r      block.Range
	wanted []byte // what is to be stored, nil for zeroes
	buf    *sumsBuffer
	known  bool // buf.old holds the checksums before
	place  int  // of the witness; noPlace if the checksums say that the change is under way
}

// begin says that a change is under way. After an error each block is what it was.
func (d *checkedData) begin(c *change) error {
	if c.place = d.witness.begin(d.leg, d.crashGen, c.r); c.place != noPlace {
		return nil
	}
	if err := d.know(c); err != nil {
		return err
	}
	for i := range c.r.Len / volume.BlockBytes {
		sum := sumUnderWay
		if c.wanted == nil && getSum(c.buf.old, i) == sumZero {
			sum = sumZero // it is zero already, and stays so all along
		}
		putSum(c.buf.next, i, sum)
	}
	if err := d.writeSums(c.r, c.buf.next); err != nil {
		return d.restore(c, 0, err)
	}
	return nil
}

// know reads the checksums before a change, unless they are known.
func (d *checkedData) know(c *change) error {
	if c.known {
		return nil
	}
	err := d.readSums(c.r, c.buf.old)
	c.known = err == nil
	return err
}

// end ends a change with its outcome, of which so much is known to be stored, from the front: after an error its
// blocks are given checksums again. The place of the witness ends in any case: one that stayed would outlive its
// change, and have a block settled that rotted since. Where the checksums could not be given back, as on a file system
// without room for one, a start after a crash finds blocks that nothing explains, and the leg counts as lossy.
func (d *checkedData) end(c *change, stored int64, err error) error {
	if err != nil {
		err = d.restore(c, stored, err)
	}
	d.witness.end(c.place)
	return err
}

// storedBytes returns how much of a change is known to be stored after it ended with err.
func storedBytes(err error, length int64) int64 {
	if err == nil {
		return length
	}
	if part := (*block.PartialError)(nil); errors.As(err, &part) {
		return part.StoredBytes
	}
	return 0
}

// Zero makes r read as zeroes, of any length. Where neither data nor checksums are stored it costs
// next to nothing. ctx is looked at between pieces: what was zeroed stays so.
func (d *checkedData) Zero(ctx context.Context, r block.Range, f block.Flags) error {
	id, err := d.underway.enter(ctx, r, false)
	if err != nil {
		return err
	}
	defer d.underway.leave(id)
	for !r.Empty() {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece, summed, err := d.nextPiece(r)
		switch {
		case err != nil:
		case summed:
			err = d.zeroPiece(piece, f)
		default:
			err = d.data.Zero(ctx, piece, f) // the checksums say zero already
		}
		if err != nil {
			return err
		}
		r.Off, r.Len = piece.End(), r.End()-piece.End()
	}
	return nil
}

// nextPiece returns the beginning of r that holds no checksum but sumZero, whatever its length, or
// else one that may, of zeroPieceBytes at most.
func (d *checkedData) nextPiece(r block.Range) (piece block.Range, summed bool, err error) {
	run, err := d.nextSums(r)
	if err != nil {
		return r, false, forGood(err)
	}
	if run.Off > r.Off {
		return block.Range{Off: r.Off, Len: run.Off - r.Off}, false, nil
	}
	run.Len = min(run.Len, zeroPieceBytes)
	return run, true, nil
}

// nextSums returns the first run of blocks in r whose checksums may be other than sumZero; it is empty
// and at the end of r if there is none.
func (d *checkedData) nextSums(r block.Range) (block.Range, error) {
	sums := sumsRange(r)
	run, err := d.sums.NextData(sums.Off)
	if err != nil {
		return run, fmt.Errorf("checksums: %w", err)
	}
	run = run.AlignOut(sumBytes).Intersect(sums)
	if run.Empty() {
		return block.Range{Off: r.End()}, nil
	}
	return summedRange(run), nil
}

// zeroPiece zeroes data and checksums of a piece. Blocks whose checksum is sumZero keep it all along.
func (d *checkedData) zeroPiece(r block.Range, f block.Flags) error {
	c := change{r: r, buf: d.buffer(r.Len)}
	defer d.buffers.Put(c.buf)
	if err := d.know(&c); err != nil {
		return err
	}
	if allZero(c.buf.old) { // no block's data and checksum will differ
		return d.data.Zero(context.Background(), r, f)
	}
	if err := d.begin(&c); err != nil {
		return err
	}
	err := d.data.Zero(context.Background(), r, f)
	stored := storedBytes(err, r.Len)
	if err == nil {
		clear(c.buf.next)
		err = d.writeSums(r, c.buf.next)
	}
	return d.end(&c, stored, err)
}

// restore gives each block of a change a checksum again after it ended with cause, and returns cause.
//
// After block.ErrFailed and block.ErrClosed there is nobody to do it for: the leg refuses everything, or is closed.
// What was announced in the checksums is settled at the next start; what the witness named is not explained any more.
func (d *checkedData) restore(c *change, stored int64, cause error) error {
	if errors.Is(cause, block.ErrFailed) || errors.Is(cause, block.ErrClosed) {
		return cause
	}
	err := d.know(c)
	if err == nil {
		err = d.lookAt(c, stored)
	}
	if err == nil {
		err = d.writeSums(c.r, c.buf.next)
	}
	return errors.Join(cause, err)
}

// lookAt sets the checksums that the blocks of a change that failed are to have.
func (d *checkedData) lookAt(c *change, stored int64) error {
	o, old, next := outcome{wanted: c.wanted, stored: stored}, c.buf.old, c.buf.next
	first, zeroes := c.r.Off/volume.BlockBytes, make([]byte, volume.BlockBytes)
	for i := range c.r.Len / volume.BlockBytes { // what the scan leaves out
		putSum(next, i, o.sum(first+i, i, getSum(old, i), zeroes))
	}
	return d.scan(context.Background(), c.r, func(n int64, _ uint32, content []byte) error {
		putSum(next, n-first, o.sum(n, n-first, getSum(old, n-first), content))
		return nil
	})
}

// outcome is how a change ended that failed.
type outcome struct {
	wanted []byte // what was to be stored, nil for zeroes
	stored int64  // how many bytes of that are known to be stored, from the front
}

// sum returns the checksum of block n, the i-th of the change, which had the checksum old before and holds
// content now, nil if it cannot be read. What a block looks like does not tell whether it was reached: one
// that was bad before may look much like what was to be stored, as a bad block that is being mended does,
// and must not be taken for good.
func (o outcome) sum(n, i int64, old uint32, content []byte) uint32 {
	var wanted []byte // all zero
	start := i * volume.BlockBytes
	if o.wanted != nil {
		wanted = o.wanted[start:][:volume.BlockBytes]
	}
	switch {
	case start+volume.BlockBytes <= o.stored:
		return blockSum(n, wanted)
	case content == nil:
		return old
	case start < o.stored: // where storing ended: a mix of what it was and what was wanted
		return blockSum(n, content)
	case wanted == nil && allZero(content), wanted != nil && bytes.Equal(content, wanted):
		return blockSum(n, content)
	}
	return old
}

func (d *checkedData) readSums(r block.Range, sums []byte) error {
	return forGood(d.sums.Read(context.Background(), sums, sumsRange(r).Off))
}

// writeSums asks no context: a change that has begun ends.
func (d *checkedData) writeSums(r block.Range, sums []byte) error {
	return forGood(d.sums.Write(context.Background(), sums, sumsRange(r).Off, 0))
}

// forGood makes an unreadable checksum a failure of the leg: the blocks that share its page could
// never be written again, and writing them is what would mend any other unreadable block.
func forGood(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, block.ErrMedium):
		return fmt.Errorf("checksums: %w: %s", block.ErrFailed, err.Error())
	}
	return fmt.Errorf("checksums: %w", err)
}
