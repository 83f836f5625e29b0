package leg

import (
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

var (
	// ErrNotAdmitted refuses I/O before CONFIG of this epoch is durable, or on a leg that lost its
	// cache and has had no CONFIG since. It is no fence. It wraps block.ErrFailed.
	ErrNotAdmitted = fmt.Errorf("no CONFIG of this epoch yet: %w", block.ErrFailed)
	// ErrInvalid refuses an in-band command that the protocol does not allow now.
	ErrInvalid = errors.New("invalid in-band command")
	// ErrNoStore means that the directory holds no store: an empty disk, or one not mounted.
	ErrNoStore = errors.New("no store here")
	// ErrInUse means that another process has locked the store. It may still have I/O queued, so
	// there is nothing to do but to wait for its end.
	ErrInUse = errors.New("store is in use by another process")
	// errSync means that the kernel may have dropped what was to be made durable, and shows it all the same.
	errSync = errors.New("a sync failed")
	// ErrMismatch means that a leg on the disk is not the one that was ordered (another volume,
	// cluster, store or size). It is left alone.
	ErrMismatch = errors.New("leg is not the one that was ordered")
)

// LostError means that a leg's data is gone for good: its directory or label is missing, both
// slots of the label are corrupt, or the data is missing or cut short. It is never made again.
type LostError struct {
	Leg    volume.LegID
	Reason string
	Err    error // the cause, nil if there is none
}

// Error names the leg and the reason.
func (e *LostError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("leg %s is lost: %s: %v", e.Leg, e.Reason, e.Err)
	}
	return fmt.Sprintf("leg %s is lost: %s", e.Leg, e.Reason)
}

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Err }

// RefusedError refuses a login.
type RefusedError struct {
	Leg      volume.LegID
	Decision Decision
	Epoch    volume.Epoch // the label's own: above the login's if and only if that one is fenced
}

// Error names the leg and the reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("leg %s refuses the login: %s (its epoch is %s)", e.Leg, e.Decision, e.Epoch)
}

// Is makes errors.Is(err, block.ErrFenced) true for a login with an older epoch, and
// block.ErrFailed for every other refusal.
func (e *RefusedError) Is(target error) bool {
	if e.Decision == RefuseOlder {
		return target == block.ErrFenced
	}
	return target == block.ErrFailed
}
