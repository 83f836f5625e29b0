package nbd

import (
	"math/bits"
	"sync"
)

// Payload buffers come in powers of two from 4 KiB to partBytesMax. A longer request is done in
// parts, so that one request never needs one long run of memory.
const (
	smallestBuffer = 4 << 10
	partBytesMax   = 1 << 20
	bufferClasses  = 9 // 4 KiB << 8 == 1 MiB
)

// buffer is a pooled payload buffer.
type buffer struct {
	data []byte // whole buffer; users slice it
	pool *sync.Pool
}

// free gives the buffer back; b may be nil.
func (b *buffer) free() {
	if b != nil {
		b.pool.Put(b)
	}
}

// bufferPools keeps the buffers of all connections of a server.
type bufferPools struct {
	classes [bufferClasses]sync.Pool
}

// get returns a buffer of n bytes or more, with whatever was in it. n is at most partBytesMax.
func (p *bufferPools) get(n int) *buffer {
	class := 0
	if n > smallestBuffer {
		class = bits.Len(uint(n-1)) - bits.Len(uint(smallestBuffer-1))
	}
	pool := &p.classes[class]
	if b, ok := pool.Get().(*buffer); ok {
		return b
	}
	return &buffer{data: make([]byte, smallestBuffer<<class), pool: pool}
}
