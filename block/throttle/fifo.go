package throttle

import (
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// waiter is a request that waits.
type waiter struct {
	request *block.Request
	since   time.Duration
}

// fifo is a ring that grows: it allocates only when more wait than ever did.
type fifo struct {
	ring  []waiter // its length is a power of two, or zero
	first int
	count int
}

func (f *fifo) len() int { return f.count }

func (f *fifo) push(w waiter) {
	if f.count == len(f.ring) {
		grown := make([]waiter, max(16, 2*len(f.ring)))
		n := copy(grown, f.ring[f.first:])
		copy(grown[n:], f.ring[:f.first])
		f.ring, f.first = grown, 0
	}
	f.ring[(f.first+f.count)&(len(f.ring)-1)] = w
	f.count++
}

// pop returns the first; there must be one.
func (f *fifo) pop() waiter {
	w := f.ring[f.first]
	f.ring[f.first] = waiter{}
	f.first = (f.first + 1) & (len(f.ring) - 1)
	f.count--
	return w
}
