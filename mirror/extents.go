package mirror

import (
	"math/bits"

	"github.com/holdfast-storage/holdfast/block"
)

// extents is the set of pieces of a volume that still have to be compared and copied. A piece is to
// do, or being done, or done.
type extents struct {
	size  int64 // bytes of the volume
	bytes int64 // of one piece, a power of two
	todo  []uint64
	busy  []uint64
	left  int64 // pieces to do or being done
	total int64
	next  int64 // where the search goes on
}

// init makes the set empty; it does nothing if that was done before.
func (e *extents) init(size, bytes int64) {
	if e.todo != nil {
		return
	}
	e.size, e.bytes = size, bytes
	words := (e.count() + 63) / 64
	e.todo, e.busy = make([]uint64, words), make([]uint64, words)
}

func (e *extents) count() int64 { return (e.size + e.bytes - 1) / e.bytes }

// span returns the first piece of r and the one behind its last.
func (e *extents) span(r block.Range) (from, to int64) {
	if e.bytes == 0 || r.Empty() {
		return 0, 0
	}
	return max(r.Off, 0) / e.bytes, (min(r.End(), e.size) + e.bytes - 1) / e.bytes
}

// add puts every piece that r touches into the set.
func (e *extents) add(r block.Range) {
	for x, to := e.span(r); x < to; x++ {
		if w, b := x/64, uint64(1)<<(x%64); (e.todo[w]|e.busy[w])&b == 0 {
			e.todo[w] |= b
			e.left++
			e.total++
		}
	}
}

// touches reports whether r touches a piece that is not done.
func (e *extents) touches(r block.Range) bool {
	if e.left == 0 {
		return false
	}
	for x, to := e.span(r); x < to; x++ {
		if (e.todo[x/64]|e.busy[x/64])&(1<<(x%64)) != 0 {
			return true
		}
	}
	return false
}

// takeIn takes a piece to do that r touches, -1 if there is none.
func (e *extents) takeIn(r block.Range) int64 {
	for x, to := e.span(r); x < to; x++ {
		if e.todo[x/64]&(1<<(x%64)) != 0 {
			return e.take(x)
		}
	}
	return -1
}

// takeNext takes the next piece to do, from low addresses to high, -1 if there is none.
func (e *extents) takeNext() int64 {
	words := int64(len(e.todo))
	start := e.next / 64
	for n := int64(0); n <= words && e.left > 0; n++ {
		w := (start + n) % words
		free := e.todo[w]
		if n == 0 {
			free &^= 1<<(e.next%64) - 1
		}
		if free != 0 {
			x := w*64 + int64(bits.TrailingZeros64(free))
			e.next = x
			return e.take(x)
		}
	}
	return -1
}

func (e *extents) take(x int64) int64 {
	e.todo[x/64] &^= 1 << (x % 64)
	e.busy[x/64] |= 1 << (x % 64)
	return x
}

// done ends the work on a piece; one that failed is to do again.
func (e *extents) done(x int64, ok bool) {
	w, b := x/64, uint64(1)<<(x%64)
	if e.busy[w]&b == 0 {
		return // the whole set was given up meanwhile
	}
	e.busy[w] &^= b
	if ok {
		e.left--
	} else {
		e.todo[w] |= b
		e.next = min(e.next, x)
	}
}

// firstOpen returns the lowest piece that is not done, one behind the last if all are.
func (e *extents) firstOpen() int64 {
	for w := range e.todo {
		if open := e.todo[w] | e.busy[w]; open != 0 {
			return int64(w)*64 + int64(bits.TrailingZeros64(open))
		}
	}
	return e.count()
}

// clear empties the set.
func (e *extents) clear() {
	clear(e.todo)
	clear(e.busy)
	e.left = 0
}

// rangeOf returns the bytes of a piece.
func (e *extents) rangeOf(x int64) block.Range {
	off := x * e.bytes
	return block.Range{Off: off, Len: min(e.bytes, e.size-off)}
}

// bytesDone returns how many bytes of the set have been dealt with, and of how many.
func (e *extents) bytesDone() (done, total int64) {
	total = min(e.total*e.bytes, e.size)
	return max(total-e.left*e.bytes, 0), total
}
