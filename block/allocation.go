package block

import "context"

// Allocator is what a Device implements that knows which of its bytes take up space. It is optional:
// whoever wants it asserts the type.
type Allocator interface {
	// Allocated reports whether the byte at off takes up space, and for how many bytes from off on
	// the answer stays the same: at least one whole block, and never beyond the device. An offset
	// outside the device or inside a block is refused as a read would be. A byte that takes up no
	// space reads as zero; one that does may read as zero too. The answer is of a moment: a request
	// in flight may change it.
	Allocated(ctx context.Context, off int64) (allocated bool, bytes int64, err error)
}
