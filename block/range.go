package block

import "fmt"

// Range is a run of bytes on a device: [Off, Off+Len).
type Range struct {
	Off int64 // first byte
	Len int64 // bytes; zero is an empty range
}

// End returns the first offset behind the range.
func (r Range) End() int64 { return r.Off + r.Len }

// Empty reports whether the range holds no byte.
func (r Range) Empty() bool { return r.Len <= 0 }

// Overlaps reports whether the two ranges share a byte.
func (r Range) Overlaps(o Range) bool {
	return !r.Empty() && !o.Empty() && r.Off < o.End() && o.Off < r.End()
}

// Intersect returns the bytes that both ranges share, an empty range when there are none.
func (r Range) Intersect(o Range) Range {
	off, end := max(r.Off, o.Off), min(r.End(), o.End())
	if end <= off {
		return Range{Off: off}
	}
	return Range{Off: off, Len: end - off}
}

// Within reports whether the range lies wholly inside a device of size bytes, without overflow.
func (r Range) Within(size int64) bool {
	return r.Off >= 0 && r.Len >= 0 && r.Off <= size && r.Len <= size-r.Off
}

// AlignOut grows the range to whole blocks of blockBytes, a power of two.
func (r Range) AlignOut(blockBytes int64) Range {
	if r.Empty() {
		return r
	}
	off := r.Off &^ (blockBytes - 1)
	end := (r.End() + blockBytes - 1) &^ (blockBytes - 1)
	return Range{Off: off, Len: end - off}
}

// Aligned reports whether both ends of the range lie on a multiple of blockBytes, a power of two.
func (r Range) Aligned(blockBytes int64) bool {
	return (r.Off|r.Len)&(blockBytes-1) == 0
}

// String prints the range as [off,+len), both in bytes.
func (r Range) String() string { return fmt.Sprintf("[%d,+%d)", r.Off, r.Len) }
