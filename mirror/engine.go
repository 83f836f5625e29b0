package mirror

import (
	"context"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Engine runs one volume over its legs for one epoch. It implements block.Queue. All methods may be
// called by many goroutines.
type Engine struct{ opts Options }

var errNotYet = fmt.Errorf("engine: %w", block.ErrUnsupported)

// New returns an engine that has not begun to connect. It reports every fault of the options.
func New(o Options) (*Engine, error) {
	o.Timing = o.Timing.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Engine{opts: o}, nil
}

// Attach connects to the legs (which fences them), activates the epoch, brings CONFIG to every leg
// in use, and returns when the volume serves. When ctx ends first it returns its error with what was
// awaited; the attempt goes on until Close. It returns the cause when the attachment is over.
func (e *Engine) Attach(ctx context.Context) error { return errNotYet }

// Detach stops new requests (they end with block.ErrClosed), waits for those under way, flushes,
// clears the marks, closes the legs and gives the epoch back. clean says that nothing needs to be
// reconciled at the next attach. When ctx ends first, the epoch is not given back.
func (e *Engine) Detach(ctx context.Context) (clean bool, err error) { return false, errNotYet }

// Submit implements block.Queue for the guest. Requests before the volume serves wait. Offsets and
// lengths are multiples of 512 bytes.
func (e *Engine) Submit(r *block.Request) { r.Complete(r, errNotYet) }

// Limits returns what the volume promises; they do not change.
func (e *Engine) Limits() block.Limits { return block.Limits{} }

// SetLegs brings the engine's view of the volume's legs up to date with the newest ticket: legs that
// are new are connected and join if wanted, retiring marks are taken over, and legs that are no
// longer named are let go once they are not in use. A known leg keeps its adapter: LegSpec.Leg may
// be nil for one that is already known, with its ID in LegSpec.ID.
func (e *Engine) SetLegs(legs []LegSpec) error { return errNotYet }

// Knows reports whether the engine already has an adapter for the leg.
func (e *Engine) Knows(leg volume.LegID) bool { return false }

// Status returns what the engine does now. It is cheap.
func (e *Engine) Status() Status { return Status{} }

// Close stops everything: legs are stopped, requests that were never answered end with an error,
// and Close returns when every goroutine of the engine has ended. It does not detach.
func (e *Engine) Close() error { return nil }
