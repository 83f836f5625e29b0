package leg

import (
	"context"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// overlay returns what lies over the blocks of r.
func (j *journaled) overlay(dst []journal.Source, r block.Range) []journal.Source {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.core.Overlay(dst[:0], r.Off/volume.BlockBytes, r.Len/volume.BlockBytes)
}

// Read fills p with the content of the blocks from off on. A block that is not what was written last is a
// block.ErrMedium that names it, and p holds nothing then.
func (j *journaled) Read(ctx context.Context, p []byte, off int64) error {
	r := block.Range{Off: off, Len: int64(len(p))}
	buf := j.buffer()
	defer j.buffers.Put(buf)
	buf.sources = j.overlay(buf.sources, r)
	if len(buf.sources) == 0 {
		return j.home.Read(ctx, p, off) // a commit that comes meanwhile changes each block as a whole
	}
	id, err := j.ranges.enter(ctx, r, true)
	if err != nil {
		return err
	}
	defer j.ranges.leave(id)
	buf.sources = j.overlay(buf.sources, r)
	if err := j.fill(ctx, p, off, buf); err != nil {
		clear(p)
		return err
	}
	return nil
}

// fill reads blocks with nothing over them from home, those that lie together at once, and assembles the others.
func (j *journaled) fill(ctx context.Context, p []byte, off int64, buf *journalBuffer) error {
	sources := buf.sources
	home := func(from, to int64) error {
		if from >= to {
			return nil
		}
		return j.home.Read(ctx, p[from-off:to-off], from)
	}
	at := off
	for i := 0; i < len(sources); {
		end := blockEnd(sources, i)
		here := sources[i].Block * volume.BlockBytes
		if err := home(at, here); err != nil {
			return err
		}
		if err := j.assemble(ctx, p[here-off:][:volume.BlockBytes], buf.block[:], sources[i:end]); err != nil {
			return err
		}
		at, i = here+volume.BlockBytes, end
	}
	return home(at, off+int64(len(p)))
}

// Checksums is checkedData.Checksums of the content.
func (j *journaled) Checksums(ctx context.Context, r block.Range, medium bool) (sums, bad []uint32, err error) {
	id, err := j.ranges.enter(ctx, r, true)
	if err != nil {
		return nil, nil, err
	}
	defer j.ranges.leave(id)
	buf := j.buffer()
	defer j.buffers.Put(buf)
	buf.sources = j.overlay(buf.sources, r)
	sources := buf.sources
	if sums, bad, err = j.home.Checksums(ctx, r, medium); err != nil {
		return nil, nil, err
	}
	p := make([]byte, volume.BlockBytes)
	for i := 0; i < len(sources); {
		end := blockEnd(sources, i)
		at := uint32(sources[i].Block - r.Off/volume.BlockBytes)
		err := j.assemble(ctx, p, buf.block[:], sources[i:end])
		place, found := slices.BinarySearch(bad, at)
		switch {
		case isBadBlock(err):
			if !found {
				bad = slices.Insert(bad, place, at)
			}
		case err != nil:
			return nil, nil, err
		default:
			sums[at] = inband.Checksum(p)
			if found {
				bad = slices.Delete(bad, place, place+1)
			}
		}
		i = end
	}
	return sums, bad, nil
}
