package volume

import (
	"fmt"
	"math/bits"
)

// The size of the chunks of parity: a power of two between the bounds. A text without a chunk means
// DefaultChunkBytes, for ever: texts are kept.
const (
	DefaultChunkBytes = 64 << 10
	MinChunkBytes     = BlockBytes
	MaxChunkBytes     = RegionBytes
)

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
