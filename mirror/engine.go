package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Engine runs one volume over its legs for one epoch. It implements block.Queue. All methods may be
// called by many goroutines, but Close and Detach not from a callback of the engine's own.
//
// It holds one short lock around Core.Step; nothing is sent, copied or waited for under it.
type Engine struct {
	opts    Options
	log     *slog.Logger
	limits  block.Limits
	buffers bufferPool

	payloads *payloads // nil for a mirror

	guestPool, requestPool, stagePool, effectPool sync.Pool

	root    context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup // steps, calls and stops under way

	setting sync.Mutex // one SetLegs at a time; taken before mu

	legs [MaxLegs]atomic.Pointer[legRunner] // written with mu held

	mu      sync.Mutex
	core    *Core
	timer   *time.Timer
	armed   time.Duration // when the timer fires; zero = not armed
	guests  *guestIO      // not answered
	closed  bool
	began   time.Duration
	stages  []Stage
	cause   error // why the attachment is over
	clean   bool
	notices []notice

	served   chan struct{} // closed when the volume serves
	detached chan struct{} // closed when the epoch was given back
	stopped  chan struct{} // closed when the attachment is over
	wakeNote chan struct{}
	noted    chan struct{} // closed when the notifier has ended
}

// New returns an engine that has not begun to connect. It reports every fault of the options. The
// engine must be closed.
func New(o Options) (*Engine, error) {
	o.Timing = o.Timing.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	core, err := NewCore(CoreOptions{Epoch: o.Epoch, SizeBytes: o.SizeBytes, Layout: o.Layout,
		Timing: o.Timing})
	if err != nil {
		return nil, err
	}
	payloads, err := newPayloads(asMirror(o.Layout))
	if err != nil {
		return nil, err
	}
	e := &Engine{
		opts: o, log: o.Logger, core: core, payloads: payloads,
		limits: block.Limits{
			SizeBytes: o.SizeBytes, BlockBytes: guestBlockBytes, MaxBytes: guestMaxBytes,
			// Legs of parity get zeroes like anything else, in their journals: nothing is given back for it.
			CanUnmap: payloads == nil, Volatile: o.Durability != volume.DurabilitySync,
		},
		served: make(chan struct{}), detached: make(chan struct{}), stopped: make(chan struct{}),
		wakeNote: make(chan struct{}, 1), noted: make(chan struct{}),
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.log = e.log.With("volume", o.Name, "epoch", o.Epoch.String())
	e.root, e.cancel = context.WithCancel(context.Background())
	e.timer = time.AfterFunc(time.Hour, e.onTimer)
	e.timer.Stop()
	go e.notify()
	if err := e.SetLegs(o.Legs); err != nil {
		_ = e.Close() // the fault of the options is what the caller needs to know
		return nil, err
	}
	return e, nil
}

// Limits returns what the volume promises; they do not change. BlockBytes is 512: the engine itself
// reads and merges the rest of a 4 KiB block that a request covers in part, under its range lock.
func (e *Engine) Limits() block.Limits { return e.limits }

// Attach connects to the legs (which fences them), activates the epoch, brings CONFIG to every leg
// in use, and returns when the volume serves. When ctx ends first it returns its error with what was
// awaited; the attempt goes on until Close. It returns the cause when the attachment is over.
func (e *Engine) Attach(ctx context.Context) error {
	e.mu.Lock()
	e.began = e.opts.Clock.Now()
	e.mu.Unlock()
	if !e.step(&Event{Kind: EventAttach}, nil) {
		return fmt.Errorf("attach %s: %w", e.opts.Name, block.ErrClosed)
	}
	select {
	case <-e.served:
		return nil
	case <-e.stopped:
		return fmt.Errorf("attach %s: %w", e.opts.Name, e.stopCause())
	case <-e.root.Done():
		return fmt.Errorf("attach %s: %w", e.opts.Name, block.ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("attach %s: %s: %w", e.opts.Name, e.Status().Reason, context.Cause(ctx))
	}
}

// Detach stops new requests (they end with block.ErrClosed), waits for those under way, flushes,
// clears the marks, closes the legs and gives the epoch back. clean says that nothing needs to be
// reconciled at the next attach. When ctx ends first it returns its error with what was awaited, and
// the epoch may not have been given back; the attempt goes on until Close.
func (e *Engine) Detach(ctx context.Context) (clean bool, err error) {
	if !e.step(&Event{Kind: EventDetach}, nil) {
		return false, fmt.Errorf("detach %s: %w", e.opts.Name, block.ErrClosed)
	}
	select {
	case <-e.detached:
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.clean, nil
	case <-e.stopped:
		return false, fmt.Errorf("detach %s: %w", e.opts.Name, e.stopCause())
	case <-e.root.Done():
		return false, fmt.Errorf("detach %s: %w", e.opts.Name, block.ErrClosed)
	case <-ctx.Done():
		return false, fmt.Errorf("detach %s: %s: %w", e.opts.Name, e.Status().Reason, context.Cause(ctx))
	}
}

func (e *Engine) stopCause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cause
}

// SetLegs brings the engine's view of the volume's legs up to date with the newest ticket: legs that
// are new are connected and join if wanted, retiring marks are taken over, and legs that are no
// longer named are let go once they are not in use. A leg that the engine knows keeps its adapter:
// LegSpec.Leg is ignored for it and may be nil.
func (e *Engine) SetLegs(legs []LegSpec) error {
	e.setting.Lock()
	defer e.setting.Unlock()
	named := map[volume.LegID]bool{}
	var errs []error
	for _, spec := range legs {
		named[spec.ID] = true
		if err := e.setLeg(spec); err != nil {
			errs = append(errs, err)
		}
	}
	e.mu.Lock()
	var gone []LegIndex
	for s := e.core.known; s != 0; s = s.rest() {
		if i := s.first(); !named[e.core.leg(i).info.ID] {
			gone = append(gone, i)
		}
	}
	e.mu.Unlock()
	for _, i := range gone {
		e.step(&Event{Kind: EventForget, Leg: i}, nil)
	}
	return errors.Join(errs...)
}

func (e *Engine) setLeg(spec LegSpec) error {
	e.mu.Lock()
	i := e.core.indexOf(spec.ID)
	if i == noLeg {
		if spec.Leg == nil {
			e.mu.Unlock()
			return fmt.Errorf("volume %s: leg %s is new and has no adapter", e.opts.Name, spec.ID)
		}
		for n := range e.legs {
			if e.legs[n].Load() == nil && i == noLeg {
				i = LegIndex(n)
			}
		}
		if i == noLeg {
			e.mu.Unlock()
			return fmt.Errorf("volume %s: no room for leg %s: %d legs are known", e.opts.Name, spec.ID, MaxLegs)
		}
		e.legs[i].Store(&legRunner{engine: e, index: i, leg: spec.Leg})
	}
	e.mu.Unlock()
	e.step(&Event{Kind: EventLeg, Leg: i, Info: &LegInfo{ID: spec.ID, Slot: spec.Slot, InSync: spec.InSync,
		Since: spec.Since, Join: spec.Join, Retiring: spec.Retiring, Replaces: spec.Replaces}}, nil)
	return nil
}

// Knows reports whether the engine has an adapter for the leg, so that SetLegs needs none.
func (e *Engine) Knows(leg volume.LegID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.indexOf(leg) != noLeg
}

// Scrub starts, changes or stops a scrub; Observer.Scrubbed tells its end, and Status how far it is. It
// does not wait. A scrub that an engine could not end is gone with it: the next one is given ScrubDone
// of its last Status, or Next of its report, as From.
func (e *Engine) Scrub(o ScrubOrder) error {
	if o.From < 0 || o.From > e.opts.SizeBytes || o.From%BlockBytes != 0 || o.Rate < 0 {
		return fmt.Errorf("scrub %d of %s: rate %d from %d: the rate is at least 0, the start a whole block of %d",
			o.ID, e.opts.Name, o.Rate, o.From, e.opts.SizeBytes)
	}
	if !e.step(&Event{Kind: EventScrub, Scrub: &o}, nil) {
		return fmt.Errorf("scrub %d of %s: %w", o.ID, e.opts.Name, block.ErrClosed)
	}
	return nil
}

// Status returns what the engine does now. It is cheap.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.core.Status(make([]LegStatus, 0, 4))
	s.Stages = append(s.Stages, e.stages...)
	return s
}

// Close stops everything: legs are stopped, requests that were never answered end with
// block.ErrClosed (or why the attachment is over), and Close returns when every goroutine of the
// engine has ended. It does not detach. Closing twice does no harm.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		<-e.noted
		return nil
	}
	e.closed = true
	e.timer.Stop()
	e.mu.Unlock()
	e.cancel()
	for n := range e.legs {
		if l := e.legs[n].Load(); l != nil {
			l.stop()
		}
	}
	e.running.Wait()
	e.signal()
	<-e.noted
	e.mu.Lock()
	cause := e.cause
	list := e.guests
	e.guests = nil
	e.mu.Unlock()
	if cause == nil {
		cause = block.ErrClosed
	}
	for list != nil {
		g := list
		list = g.next
		e.answerGuest(g, cause)
	}
	return nil
}
