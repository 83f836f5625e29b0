package mirror

import "github.com/holdfast-storage/holdfast/volume"

// Observer is told what an operator may want to know. The engine calls it outside of its lock, one
// call at a time and in order, from a goroutine of its own: a callback may block, but those behind
// it wait. Nil callbacks are not called.
type Observer struct {
	// State says that the engine's state or the reason for it changed.
	State func(state State, reason string)
	// Leg says that a leg changed its state.
	Leg func(leg volume.LegID, from, to LegState, reason string)
	// Scrubbed says that a scrub ended, or that the engine ends before it.
	Scrubbed func(report ScrubReport)
	// Stopped says that the attachment is over and its guest must be killed: cause wraps
	// block.ErrFenced (a newer epoch holds the volume), ErrCacheLost (every in-sync leg lost its
	// cache) or ErrBug. Nothing that is under way is ever acknowledged; Close ends it with errors.
	Stopped func(cause error)
}
