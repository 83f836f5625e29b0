package block

import "context"

// Flags modify one request.
type Flags uint8

const (
	// FUA asks that the request's own bytes are on stable storage before it completes.
	FUA Flags = 1 << iota
	// Unmap allows a Zero request to free the space under the range instead of writing zeroes.
	// Either way the range reads as zeroes afterwards.
	Unmap
)

// Limits are what a device promises and can do, computed once when it is opened.
type Limits struct {
	SizeBytes  int64 // whole blocks
	BlockBytes int64 // smallest and natural unit of a request: offsets and lengths are multiples of it
	MaxBytes   int64 // longest single request
	ReadOnly   bool  // writes and zeroes are refused with ErrReadOnly
	CanUnmap   bool  // Zero with Unmap frees space
	Volatile   bool  // a completed write may be lost by a power cut before a flush
}

// Device is a block device that blocks its caller.
//
// Every method may be called by many goroutines at once. Overlapping requests in flight together
// take effect in any order. A request outside the device or not aligned to BlockBytes is refused
// with ErrOutOfRange or ErrMisaligned and changes nothing. When ctx ends first, the outcome of a
// write is unknown: it may still land later.
type Device interface {
	// Read fills p from off. p is the caller's again on return.
	Read(ctx context.Context, p []byte, off int64) error
	// Write stores p at off. p must not change until it returns; it is the caller's again then.
	Write(ctx context.Context, p []byte, off int64, f Flags) error
	// Zero makes r read as zeroes.
	Zero(ctx context.Context, r Range, f Flags) error
	// Flush returns when every write that completed before the call is on stable storage.
	Flush(ctx context.Context) error
	// Limits returns the device's limits; they do not change while it is open.
	Limits() Limits
	// Close releases the device. Requests after it, and those in flight, end with ErrClosed.
	Close() error
}
