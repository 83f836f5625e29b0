package mirror

import (
	"math/bits"
	"sync"

	"github.com/holdfast-storage/holdfast/volume"
)

// buffer is payload that belongs to the engine: the one stable copy of what the guest writes (which
// may rewrite its own memory at any time), or what a leg read (which may answer after the guest was
// served by another). The Core knows it as a Handle.
type buffer struct {
	b     []byte
	class int
	// making counts the effects that have to change the buffer before anything else is done with it. It is raised
	// in the order of the steps: those of a later step may be carried out earlier.
	making sync.WaitGroup
	// parity is what legs of parity get of a write whose data is b.
	parity [volume.MaxParityLegs]*buffer
	made   [volume.MaxParityLegs][]byte // their bytes
}

const (
	minClass = 12 // 4 KiB
	maxClass = 23 // 8 MiB; larger ones are not pooled
)

// bufferPool keeps buffers by powers of two.
type bufferPool struct {
	classes [maxClass + 1]sync.Pool
}

// get returns a buffer of n bytes with any content.
func (p *bufferPool) get(n int64) *buffer {
	class := max(minClass, bits.Len64(uint64(n-1)))
	if class > maxClass {
		return &buffer{b: make([]byte, n), class: class}
	}
	if b, ok := p.classes[class].Get().(*buffer); ok {
		b.b = b.b[:n]
		return b
	}
	return &buffer{b: make([]byte, n, 1<<class), class: class}
}

func (p *bufferPool) put(b *buffer) {
	if b != nil && b.class <= maxClass {
		p.classes[b.class].Put(b)
	}
}
