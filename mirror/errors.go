package mirror

import "errors"

// Why an attachment is over, besides block.ErrFenced.
var (
	// ErrCacheLost means that every leg of the in-sync list lost its cache during the attachment:
	// acknowledged but unflushed writes may be gone, so the guest must start anew in a new epoch
	// (protocol-flush C.3).
	ErrCacheLost = errors.New("every in-sync leg lost its cache")
	// ErrBug means that the engine found itself in a state that must not be, and stopped before it
	// could do harm.
	ErrBug = errors.New("internal contradiction")
)
