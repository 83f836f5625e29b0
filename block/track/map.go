package track

import (
	"math/bits"
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/block"
)

// ExtentBytes is what one mark of a Map stands for.
const ExtentBytes = 64 << 10

// Map is which extents of a device are to be copied. It takes an eighth of a byte per extent: 2 MiB for a TiB. All
// methods may be called by many goroutines.
type Map struct {
	size   int64 // bytes of the device
	words  []atomic.Uint64
	marked atomic.Int64 // extents
}

// NewMap returns the map of a device of so many bytes, with all of it marked.
func NewMap(sizeBytes int64) *Map {
	extents := (max(sizeBytes, 0) + ExtentBytes - 1) / ExtentBytes
	m := &Map{size: max(sizeBytes, 0), words: make([]atomic.Uint64, (extents+63)/64)}
	m.Mark(block.Range{Len: m.size})
	return m
}

// Mark marks every extent that a range touches. What is outside the device is ignored.
func (m *Map) Mark(r block.Range) {
	r = r.Intersect(block.Range{Len: m.size})
	if r.Empty() {
		return
	}
	for i, last := r.Off/ExtentBytes, (r.End()-1)/ExtentBytes; i <= last; {
		first := i % 64
		n := min(64-first, last-i+1)
		mask := ^uint64(0) >> (64 - n) << first
		if fresh := mask &^ m.words[i/64].Or(mask); fresh != 0 {
			m.marked.Add(int64(bits.OnesCount64(fresh)))
		}
		i += n
	}
}

// Bytes returns how much is marked. Beside calls of Mark and Take it is what was so a moment ago.
func (m *Map) Bytes() int64 { return max(0, min(m.marked.Load()*ExtentBytes, m.size)) }

// Take returns the first range of marked extents at or behind an offset, of most bytes at most and one extent at the
// least, and unmarks it. ok is false if there is none. What changes from now on is marked again.
func (m *Map) Take(from, most int64) (r block.Range, ok bool) {
	at := max(from, 0) / ExtentBytes
	extents := (m.size + ExtentBytes - 1) / ExtentBytes
	for at < extents {
		if word := m.words[at/64].Load() >> (at % 64); word != 0 {
			at += int64(bits.TrailingZeros64(word))
			break
		}
		at = (at/64 + 1) * 64
	}
	end := at
	for end < extents && (end == at || (end-at+1)*ExtentBytes <= most) {
		bit := uint64(1) << (end % 64)
		if m.words[end/64].And(^bit)&bit == 0 {
			break
		}
		m.marked.Add(-1)
		end++
	}
	if end == at {
		if at < extents { // another one took it
			return m.Take(at*ExtentBytes, most)
		}
		return block.Range{}, false
	}
	return block.Range{Off: at * ExtentBytes, Len: min(end*ExtentBytes, m.size) - at*ExtentBytes}, true
}
