package block

import (
	"errors"
	"fmt"
)

// The errors that cross the waist. Layers wrap them with what they were doing ("leg 3f…: write
// [4096,+512): …: %w"); callers test with errors.Is, never by text.
var (
	// ErrFenced means that a newer epoch holds the object: whoever asks must stop for good. It is
	// never a failure of the device (protocol-flush F, "What means fenced").
	ErrFenced = errors.New("fenced by a newer epoch")
	// ErrUnreachable means that the device did not answer: connection refused or lost, or no
	// answer within the deadline. The outcome of a write is unknown.
	ErrUnreachable = errors.New("unreachable")
	// ErrFailed means that the device answered with a failure of its own and is not to be trusted
	// with further requests: an I/O error of its medium, a failed fsync, a refused login.
	ErrFailed = errors.New("device failed")
	// ErrMedium means that these bytes cannot be read (checksum or medium error); other bytes may.
	ErrMedium = errors.New("medium error")
	// ErrNoSpace means that the device has no room to store the write; a part of it may have been stored.
	ErrNoSpace = errors.New("no space left on the device")
	// ErrReadOnly refuses a write to a device that is read-only or write-protected.
	ErrReadOnly = errors.New("device is read-only")
	// ErrOutOfRange refuses a request beyond the end of the device.
	ErrOutOfRange = errors.New("request outside the device")
	// ErrMisaligned refuses a request that is not made of whole blocks.
	ErrMisaligned = errors.New("request not aligned to the device's blocks")
	// ErrClosed ends requests to a device that was closed.
	ErrClosed = errors.New("device closed")
	// ErrUnsupported refuses an operation that the device does not know.
	ErrUnsupported = errors.New("operation not supported by the device")
)

// PartialError is a write, or a zeroing that was one, which failed after a part of it was stored. An error
// without one says nothing of what was stored.
type PartialError struct {
	StoredBytes int64 // from the beginning of the request
	Err         error // never nil
}

// Error says how far the write came.
func (e *PartialError) Error() string {
	return fmt.Sprintf("after %d bytes: %v", e.StoredBytes, e.Err)
}

// Unwrap returns the cause.
func (e *PartialError) Unwrap() error { return e.Err }
