package target

import (
	"math/bits"
	"sync"
)

// buffer is pooled memory for the data of one command or PDU.
type buffer struct {
	b     []byte // cut to what was asked for
	class int    // its pool, -1 for none
}

const (
	smallestBufferBits = 12 // 4 KiB
	largestBufferBits  = 22 // 4 MiB, the longest transfer of a Disk
)

// bufferPool keeps buffers in classes of powers of two.
type bufferPool struct {
	classes [largestBufferBits - smallestBufferBits + 1]sync.Pool
}

// get returns a buffer of n bytes with arbitrary contents.
func (p *bufferPool) get(n int) *buffer {
	class := max(bits.Len(uint(max(n, 1)-1)), smallestBufferBits) - smallestBufferBits
	if class >= len(p.classes) {
		return &buffer{b: make([]byte, n), class: -1}
	}
	buf, ok := p.classes[class].Get().(*buffer)
	if !ok {
		buf = &buffer{b: make([]byte, 1<<(class+smallestBufferBits)), class: class}
	}
	buf.b = buf.b[:n]
	return buf
}

// put gives a buffer back. Nobody may use it any more. Nil is nothing.
func (p *bufferPool) put(buf *buffer) {
	if buf == nil || buf.class < 0 {
		return
	}
	buf.b = buf.b[:cap(buf.b)]
	p.classes[buf.class].Put(buf)
}
