package throttle

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/plug"
)

// wakeMin is how long those that wait do so at least, so that a high limit costs no more than a thousand wake-ups a
// second. Nothing of the limit is lost by it: what is not used meanwhile is saved up, as far as the burst allows.
const wakeMin = time.Millisecond

// Options configures New.
type Options struct {
	Queue block.Queue // does the requests
	// Plug is held while requests that have waited are submitted, so that they are sent on together; nil = they are
	// not.
	Plug *plug.Plug
	// Waited is told of every request that had to wait how long it did, before it goes. It must not block.
	// nil tells nobody.
	Waited func(time.Duration)
}

// Throttle is a block.Queue in front of another one. It begins without a limit. All methods may be called by many
// goroutines, Set and Lift not from a request's Complete.
type Throttle struct {
	queue  block.Queue
	plug   *plug.Plug
	waited func(time.Duration)
	began  time.Time
	timer  *time.Timer

	// passes says that requests need not look: nothing is limited and nobody waits. It is written with mu held.
	passes atomic.Bool

	mu      sync.Mutex // protects what follows; never held while a request is submitted
	idle    sync.Cond  // told when letting becomes false
	core    core
	letting bool // a goroutine lets go of those that wait; only one does, so that they keep their order
	lifted  bool
}

// New returns a throttle without a limit. It needs no closing, but see Lift.
func New(o Options) *Throttle {
	t := &Throttle{queue: o.Queue, plug: o.Plug, waited: o.Waited, began: time.Now()}
	if t.waited == nil {
		t.waited = func(time.Duration) {}
	}
	t.idle.L = &t.mu
	t.passes.Store(true)
	t.timer = time.AfterFunc(time.Hour, t.letGo)
	t.timer.Stop()
	return t
}

// Submit implements block.Queue. It does not wait: a request over the limit is submitted later, by another goroutine.
func (t *Throttle) Submit(r *block.Request) {
	if t.passes.Load() || !counts(r.Op) {
		t.queue.Submit(r)
		return
	}
	t.mu.Lock()
	now := t.now()
	goes := t.core.arrive(now, r)
	if !goes && !t.letting && t.core.waiting.len() == 1 {
		t.arm(now)
	}
	t.mu.Unlock()
	if goes {
		t.queue.Submit(r)
	}
}

// Set changes the limit, at once and for those that wait too, and reports whether it was another one. After Lift it
// does nothing.
func (t *Throttle) Set(l Limit) (changed bool) {
	t.mu.Lock()
	if !t.lifted {
		changed = t.set(l)
	}
	t.mu.Unlock()
	t.letGo()
	return changed
}

// set changes the limit, with mu held; letGo follows, and says whether requests pass.
func (t *Throttle) set(l Limit) (changed bool) {
	if l == t.core.limit {
		return false
	}
	t.core.set(t.now(), l)
	t.passes.Store(false)
	return true
}

// Limit returns the limit.
func (t *Throttle) Limit() Limit {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.core.limit
}

// Waiting returns how many requests wait.
func (t *Throttle) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.core.waiting.len()
}

// Lift takes the limit away for good. When it returns, all that waited was submitted; requests go through still, and
// no goroutine of the throttle has anything left to do.
func (t *Throttle) Lift() {
	t.mu.Lock()
	t.lifted = true
	t.set(Limit{})
	t.mu.Unlock()
	t.letGo()
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.letting { // by the timer, which was faster
		t.idle.Wait()
	}
	t.timer.Stop()
}

// letGo submits those that have waited for long enough.
func (t *Throttle) letGo() {
	t.plug.Hold()
	defer t.plug.Release() // when mu is not held any more
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.letting {
		return // whoever does it looks at the limit anew for each request
	}
	t.letting = true
	for {
		r, waited, ok := t.core.next(t.now())
		if !ok {
			break
		}
		t.mu.Unlock()
		t.waited(waited)
		t.queue.Submit(r)
		t.mu.Lock()
	}
	t.letting = false
	t.idle.Broadcast()
	if t.core.waiting.len() > 0 {
		t.arm(t.now())
	} else {
		t.passes.Store(t.core.limit.None())
	}
}

// arm sets the timer for the first that waits; with mu held.
func (t *Throttle) arm(now time.Duration) { t.timer.Reset(max(t.core.due()-now, wakeMin)) }

// now is the time since the throttle was made, by a clock that never goes back.
func (t *Throttle) now() time.Duration { return time.Since(t.began) }
