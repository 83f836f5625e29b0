package volume

import (
	"fmt"
	"math/bits"
)

// The bounds of the size of the chunks of parity, which is a power of two.
const (
	MinChunkBytes = BlockBytes
	MaxChunkBytes = RegionBytes
)

// usualWriteBytes is how long the long writes of guests are, at least: a whole stripe is to fit in, since it is
// written without reading anything.
const usualWriteBytes = 128 << 10

// DefaultChunkBytes is the size of chunks where none is named, with so many data legs: 64 KiB for 2, 32 KiB for 3 and
// 4, 16 KiB for 5 to 8. For ever: a text without a chunk means it, and texts are kept.
func DefaultChunkBytes(data int) int64 {
	chunk := int64(MinChunkBytes)
	for data > 0 && 2*chunk*int64(data) <= usualWriteBytes {
		chunk *= 2
	}
	return chunk
}

// CheckChunk returns why chunks of parity cannot have this size, nil if they can.
func CheckChunk(bytes int64) error {
	if bytes < MinChunkBytes || bytes > MaxChunkBytes || bits.OnesCount64(uint64(bytes)) != 1 {
		return fmt.Errorf("chunk of %d bytes: it is a power of two from %s to %s, as in 64K", bytes,
			FormatSize(MinChunkBytes), FormatSize(MaxChunkBytes))
	}
	return nil
}

// StripeBytes returns how many bytes of the volume lie side by side on its legs: a chunk of each data leg. A
// mirror has no stripes, and 0.
func (l Layout) StripeBytes() int64 { return int64(l.Data) * l.Chunk }

// StoreBytes returns how much of its store each leg of a volume of this size may come to take up: its data and its
// journal, which is as long as it is from the start. Checksums and marks are some thousandths of that, which what a
// store keeps free covers.
func (l Layout) StoreBytes(size int64) int64 { return l.LegBytes(size) + l.JournalBytes(size) }

// LegBytes returns how many bytes of data each leg of a volume of this size holds: all of a mirror, a chunk of
// each stripe of parity. The last stripe is a whole one too, so that parity covers chunks of one length; what
// is behind the end of the volume reads as zeroes and is never written.
//
// It never overflows for what CheckSize lets pass, and LegBytes(size) > 0 if and only if size > 0.
func (l Layout) LegBytes(size int64) int64 {
	if l.Kind != KindParity || l.StripeBytes() <= 0 || size <= 0 {
		return size
	}
	stripes := (size-1)/l.StripeBytes() + 1
	return stripes * l.Chunk
}
