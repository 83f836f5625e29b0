package track

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

var (
	// ErrHeld refuses a second hold beside the first.
	ErrHeld = errors.New("changes are held back already")
	// ErrOver is a hold that was over, by its time or by Close, before what was in flight had ended.
	ErrOver = errors.New("the hold was over before the changes that were in flight had ended")
)

// Tracker is a block.Queue in front of another one. It begins with nothing tracked and nothing held. Reads and flushes
// pass it as they are: they change nothing. All methods may be called by many goroutines, none but Submit from a
// request's Complete.
//
// Invariant: what is marked in the tracked map, taken out of it and then read behind the tracker is never older than
// what is unmarked: a change is marked when it is submitted, and again before its submitter hears of its end. The
// second is what counts, since an extent may be read while a change of it is in flight; it is also what takes in the
// changes that were in flight when the tracking began.
type Tracker struct {
	queue    block.Queue
	pool     sync.Pool // of *change
	tracked  atomic.Pointer[Map]
	holds    atomic.Bool  // Submit has to look whether it may go; written with mu held
	inFlight atomic.Int64 // changes that were submitted and have not ended

	mu      sync.Mutex // protects what follows; never held while a request is submitted
	hold    *Hold      // nil: nothing is held back
	waiting []*block.Request
	letting bool          // a goroutine lets go of those that wait
	closed  bool          // nothing is held back any more
	drained chan struct{} // of the hold that waits for the changes in flight: closed when there are none
}

// change is one change on its way through the queue behind.
type change struct {
	block.Request
	own     *block.Request // the submitter's
	tracker *Tracker
}

// New returns a tracker in front of a queue. Close it before the queue ends.
func New(queue block.Queue) *Tracker {
	t := &Tracker{queue: queue}
	t.pool.New = func() any {
		c := &change{tracker: t}
		c.Complete = c.completed
		return c
	}
	return t
}

// Track notes what changes in a map from now on, in place of the one before; nil notes nothing any more.
func (t *Tracker) Track(m *Map) { t.tracked.Store(m) }

// Submit implements block.Queue. It does not wait: a change that is held back is submitted later, by another goroutine.
func (t *Tracker) Submit(r *block.Request) {
	if !r.Op.Changes() {
		t.queue.Submit(r)
		return
	}
	// It counts as in flight before it looks, so that a hold which it has not seen waits for it.
	t.inFlight.Add(1)
	if t.holds.Load() {
		t.ended()
		t.mu.Lock()
		if t.hold != nil || t.letting || len(t.waiting) > 0 {
			t.waiting = append(t.waiting, r)
			t.mu.Unlock()
			return
		}
		t.inFlight.Add(1) // with mu held no hold begins
		t.mu.Unlock()
	}
	t.send(r)
}

// send submits a change that is in flight by now.
func (t *Tracker) send(r *block.Request) {
	if m := t.tracked.Load(); m != nil {
		m.Mark(r.Range)
	}
	c := t.pool.Get().(*change)
	c.Op, c.Flags, c.Range, c.Data, c.own = r.Op, r.Flags, r.Range, r.Data, r
	t.queue.Submit(&c.Request)
}

// completed takes the end of a change. One that failed may have changed something nevertheless.
func (c *change) completed(_ *block.Request, err error) {
	t, own := c.tracker, c.own
	if m := t.tracked.Load(); m != nil {
		m.Mark(c.Range)
	}
	c.own, c.Data = nil, nil
	t.pool.Put(c)
	t.ended()
	own.Complete(own, err)
}

// ended says that a change is in flight no more.
func (t *Tracker) ended() {
	if t.inFlight.Add(-1) > 0 || !t.holds.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inFlight.Load() == 0 {
		t.isDrained()
	}
}

// Hold is a time in which nothing changes.
type Hold struct {
	tracker *Tracker
	timer   *time.Timer
	over    bool // protected by tracker.mu
}

// Hold holds back every change from now on, and returns when none is in flight: from then on until Release the device
// holds what it did at this moment. After so long it ends by itself, since the guest waits. An error means that nothing
// is held: ctx has ended, ErrOver, or ErrHeld, since another hold goes on.
func (t *Tracker) Hold(ctx context.Context, most time.Duration) (*Hold, error) {
	t.mu.Lock()
	if t.hold != nil || t.closed {
		defer t.mu.Unlock()
		if t.closed {
			return nil, ErrOver
		}
		return nil, ErrHeld
	}
	h, drained := &Hold{tracker: t}, make(chan struct{})
	h.timer = time.AfterFunc(most, func() { h.Release() })
	t.hold, t.drained = h, drained
	t.holds.Store(true)
	if t.inFlight.Load() == 0 {
		t.isDrained()
	}
	t.mu.Unlock()
	select {
	case <-drained:
	case <-ctx.Done():
		h.Release()
		return nil, ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.over {
		return nil, ErrOver
	}
	return h, nil
}

// isDrained tells the hold that waits for it that nothing is in flight, or that it need not wait; with mu held.
func (t *Tracker) isDrained() {
	if t.drained != nil {
		close(t.drained)
		t.drained = nil
	}
}

// Over reports whether the hold has ended: by its time, or by Release or Close.
func (h *Hold) Over() bool {
	h.tracker.mu.Lock()
	defer h.tracker.mu.Unlock()
	return h.over
}

// Release lets the changes go that were held back, in the order in which they came, and reports whether they were held
// all the time since Hold returned.
func (h *Hold) Release() (held bool) {
	t := h.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	h.timer.Stop()
	if h.over {
		return false
	}
	h.over, t.hold = true, nil
	t.isDrained()
	t.letGo()
	return true
}

// Close ends a hold, if there is one, and refuses every other one. When it returns, all that was held back was
// submitted, or is by another goroutine. Requests pass on as before.
func (t *Tracker) Close() {
	t.mu.Lock()
	h := t.hold
	t.closed = true
	t.mu.Unlock()
	if h != nil {
		h.Release()
	}
}

// letGo submits what waits, with mu held but for that. What comes meanwhile waits behind, unless another hold began:
// then all that still waits is that one's.
func (t *Tracker) letGo() {
	if t.letting {
		return
	}
	t.letting = true
	for t.hold == nil && len(t.waiting) > 0 {
		r := t.waiting[0]
		t.waiting[0] = nil
		t.waiting = t.waiting[1:]
		t.inFlight.Add(1)
		t.mu.Unlock()
		t.send(r)
		t.mu.Lock()
	}
	t.letting = false
	if t.hold == nil {
		t.waiting = nil
		t.holds.Store(false)
	}
}
