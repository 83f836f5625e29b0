package leg

import (
	"context"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// checksumChunk is how much data is read at once to compute checksums.
const checksumChunk = 256 << 10

// Checksums returns one CRC32C per block of r, which is made of whole blocks, in order. Holes cost
// no reading.
func (s *Session) Checksums(ctx context.Context, r block.Range) ([]uint32, error) {
	if err := s.leg.limits.Check(block.OpRead, r, 0); err != nil {
		return nil, fmt.Errorf("leg %s: checksums of %s: %w", s.leg.id, r, err)
	}
	if err := s.enter(ctx, false); err != nil {
		return nil, err
	}
	sums, err := checksums(ctx, s.leg.data, r)
	return sums, s.finish(block.OpRead, err)
}

func checksums(ctx context.Context, data Data, r block.Range) ([]uint32, error) {
	buf := make([]byte, min(r.Len, checksumChunk))
	sums := make([]uint32, 0, r.Len/volume.BlockBytes)
	zero := inband.Checksum(make([]byte, volume.BlockBytes))
	for off := r.Off; off < r.End(); {
		run, err := data.NextData(off)
		if err != nil {
			return nil, err
		}
		run = run.AlignOut(volume.BlockBytes).Intersect(block.Range{Off: off, Len: r.End() - off})
		if run.Empty() {
			run = block.Range{Off: r.End()}
		}
		for ; off < run.Off; off += volume.BlockBytes {
			sums = append(sums, zero)
		}
		for off < run.End() {
			chunk := buf[:min(run.End()-off, int64(len(buf)))]
			if err := data.Read(ctx, chunk, off); err != nil {
				return nil, err
			}
			off += int64(len(chunk))
			for ; len(chunk) > 0; chunk = chunk[volume.BlockBytes:] {
				sums = append(sums, inband.Checksum(chunk[:volume.BlockBytes]))
			}
		}
	}
	return sums, nil
}
