package leg

import (
	"context"
	"errors"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// scanChunkBytes is how much data a scan reads at once.
const scanChunkBytes = 256 << 10

// visitBlock hears of one block: its number, the checksum that is stored for it, and what it holds,
// which is nil if the medium cannot read that or the checksum. content is valid during the call only.
type visitBlock func(n int64, stored uint32, content []byte) error

// scan visits, in order, the blocks of r for which data or a checksum is stored. Holes cost nothing:
// the rest is zeroes with the checksum of zeroes. It waits for nobody: what is changed meanwhile may
// not match.
func (d *checkedData) scan(ctx context.Context, r block.Range, visit visitBlock) error {
	s, _ := d.scanners.Get().(*scanner)
	if s == nil {
		s = &scanner{}
	}
	s.d, s.ctx, s.visit = d, ctx, visit
	defer func() {
		s.d, s.ctx, s.visit = nil, nil, nil
		d.scanners.Put(s)
	}()
	for off := r.Off; off < r.End(); {
		rest := block.Range{Off: off, Len: r.End() - off}
		run, err := d.data.NextData(off)
		if err != nil {
			return err
		}
		run = run.AlignOut(volume.BlockBytes).Intersect(rest)
		if run.Empty() {
			run = block.Range{Off: r.End()}
		}
		if err := s.hole(block.Range{Off: off, Len: run.Off - off}); err != nil {
			return err
		}
		if err := s.data(run); err != nil {
			return err
		}
		off = run.End()
	}
	return nil
}

// scanner is one scan with its buffers, made when they are needed first and kept for the next: a rebuild and a scrub
// scan all day, and collecting a buffer for each of their commands took a quarter of a storage node's time.
type scanner struct {
	d             *checkedData
	ctx           context.Context
	visit         visitBlock
	content, sums []byte
	zeroes        []byte // one block
}

// hole visits the blocks of a hole in the data that have a checksum other than sumZero.
func (s *scanner) hole(r block.Range) error {
	for !r.Empty() {
		run, err := s.d.nextSums(r)
		if err != nil {
			return err
		}
		run.Len = min(run.Len, zeroPieceBytes)
		if s.zeroes == nil {
			s.zeroes = make([]byte, volume.BlockBytes)
		}
		sums, readable, err := s.readSums(run)
		if err != nil {
			return err
		}
		for i := range run.Len / volume.BlockBytes {
			n, stored, content := run.Off/volume.BlockBytes+i, getSum(sums, i), s.zeroes
			if !readable {
				content = nil
			} else if stored == sumZero {
				continue
			}
			if err := s.visit(n, stored, content); err != nil {
				return err
			}
		}
		r.Off, r.Len = run.End(), r.End()-run.End()
	}
	return nil
}

// data visits the blocks of a run of data.
func (s *scanner) data(r block.Range) error {
	if size := int(min(r.Len, scanChunkBytes)); len(s.content) < size {
		s.content = make([]byte, size)
	}
	for !r.Empty() {
		chunk := block.Range{Off: r.Off, Len: min(r.Len, int64(len(s.content)))}
		if err := s.chunk(chunk); err != nil {
			return err
		}
		r.Off, r.Len = chunk.End(), r.End()-chunk.End()
	}
	return nil
}

func (s *scanner) chunk(r block.Range) error {
	content := s.content[:r.Len]
	err := s.d.data.Read(s.ctx, content, r.Off)
	if errors.Is(err, block.ErrMedium) {
		if r.Len > volume.BlockBytes { // find out which block it is
			for one := (block.Range{Off: r.Off, Len: volume.BlockBytes}); one.Off < r.End(); one.Off = one.End() {
				if err := s.chunk(one); err != nil {
					return err
				}
			}
			return nil
		}
		content = nil
	} else if err != nil {
		return err
	}
	sums, readable, err := s.readSums(r)
	if err != nil {
		return err
	}
	for i := range r.Len / volume.BlockBytes {
		var one []byte
		if content != nil && readable {
			one = content[i*volume.BlockBytes:][:volume.BlockBytes]
		}
		if err := s.visit(r.Off/volume.BlockBytes+i, getSum(sums, i), one); err != nil {
			return err
		}
	}
	return nil
}

// readSums returns the checksums of r, valid until the next call, and whether the medium can read them.
func (s *scanner) readSums(r block.Range) (sums []byte, readable bool, err error) {
	n := int(sumsRange(r).Len)
	if cap(s.sums) < n {
		s.sums = make([]byte, n)
	}
	sums = s.sums[:n]
	err = s.d.sums.Read(s.ctx, sums, sumsRange(r).Off)
	if errors.Is(err, block.ErrMedium) {
		return sums, false, nil
	}
	return sums, err == nil, err
}

// Checksums returns a CRC32C for each block of r of what it holds now, and which of them are not what
// was written last, or cannot be read at all, ascending. With medium it reads the medium, not the page
// cache.
func (d *checkedData) Checksums(ctx context.Context, r block.Range, medium bool) (sums, bad []uint32, err error) {
	if medium {
		if err := d.dropCache(r); err != nil {
			return nil, nil, err
		}
	}
	sums = make([]uint32, r.Len/volume.BlockBytes)
	zero := inband.Checksum(make([]byte, volume.BlockBytes))
	for i := range sums {
		sums[i] = zero
	}
	first := r.Off / volume.BlockBytes
	note := func(n int64, stored uint32, content []byte) (matches bool) {
		if content != nil {
			sums[n-first] = inband.Checksum(content)
		}
		return content != nil && stored == blockSum(n, content)
	}
	var suspects []uint32 // bad, or under way
	err = d.scan(ctx, r, func(n int64, stored uint32, content []byte) error {
		if !note(n, stored, content) {
			suspects = append(suspects, uint32(n-first))
		}
		return nil
	})
	for _, i := range suspects {
		if err != nil {
			break
		}
		sums[i] = zero // which it stays if the block is a hole by now
		err = d.scanAlone(ctx, first+int64(i), func(n int64, stored uint32, content []byte) error {
			if !note(n, stored, content) {
				bad = append(bad, i)
			}
			return nil
		})
	}
	if err != nil {
		return nil, nil, err
	}
	return sums, bad, nil
}

// scanAlone scans one block while no change of it is under way.
func (d *checkedData) scanAlone(ctx context.Context, n int64, visit visitBlock) error {
	r := block.Range{Off: n * volume.BlockBytes, Len: volume.BlockBytes}
	id, err := d.underway.enter(ctx, r, true)
	if err != nil {
		return err
	}
	defer d.underway.leave(id)
	return d.scan(ctx, r, visit)
}

// Adopt makes what the bad blocks of r hold now count as what was written. A block that the medium
// cannot read is a block.ErrMedium and stays bad.
func (d *checkedData) Adopt(ctx context.Context, r block.Range) error {
	id, err := d.underway.enter(ctx, r, false)
	if err != nil {
		return err
	}
	defer d.underway.leave(id)
	return d.scan(ctx, r, func(n int64, stored uint32, content []byte) error {
		if content == nil {
			return badBlock(n)
		}
		return d.adoptBlock(n, stored, content)
	})
}

func (d *checkedData) adoptBlock(n int64, stored uint32, content []byte) error {
	if sum := blockSum(n, content); sum != stored {
		return d.writeSum(n, sum)
	}
	return nil
}

func (d *checkedData) writeSum(n int64, sum uint32) error {
	var one [sumBytes]byte
	putSum(one[:], 0, sum)
	return d.writeSums(block.Range{Off: n * volume.BlockBytes, Len: volume.BlockBytes}, one[:])
}

// announce says in the checksums of the blocks that left names that they were under way, where they do not match: what
// a start does not settle a later one may, once nothing of an earlier boot is in the way of it.
func (d *checkedData) announce(left []block.Range) error {
	for _, r := range left {
		r = r.Intersect(block.Range{Len: d.data.Limits().SizeBytes})
		err := d.scan(context.Background(), r, func(n int64, stored uint32, content []byte) error {
			if content == nil || stored == blockSum(n, content) {
				return nil
			}
			return d.writeSum(n, sumUnderWay)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unsettled visits the blocks of r that a process which died had under way: those whose checksum says so, and of
// those that left names the ones that do not match. The error names the first block that is wrong in any other way, or
// cannot be read: then more than the process was lost.
func (d *checkedData) unsettled(r block.Range, left []block.Range, visit func(n int64, sum uint32)) error {
	return d.scan(context.Background(), r, func(n int64, stored uint32, content []byte) error {
		if content == nil {
			return badBlock(n)
		}
		sum := blockSum(n, content)
		switch {
		case stored == sum:
		case stored == sumUnderWay, named(left, n):
			visit(n, sum)
		default:
			return badBlock(n)
		}
		return nil
	})
}
