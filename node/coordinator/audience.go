package coordinator

import (
	"context"
	"sync"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// audience wakes those who wait for a change of what they look at, and nobody else: in a large cluster a
// thousand engines and all nodes wait at once, and most changes are of one volume.
type audience struct {
	mu        sync.Mutex // guards what follows; held for a look over the state, never for I/O
	state     *raft.State
	published uint64                   // revision of state
	last      map[volume.UUID]uint64   // when a node or volume changed last; absent: as published
	waiting   map[volume.UUID]*waiting // by node or volume
}

// waiting are those who wait for one object.
type waiting struct {
	wake  chan struct{} // closed when it changes
	count int
}

func newAudience() *audience {
	return &audience{state: raft.NewState(), last: map[volume.UUID]uint64{}, waiting: map[volume.UUID]*waiting{}}
}

// follow publishes every state until ctx ends.
func (a *audience) follow(ctx context.Context, r Raft) {
	for ctx.Err() == nil {
		state, revision := r.State()
		a.publish(state, revision)
		select {
		case <-ctx.Done():
		case <-r.Changed(revision):
		}
	}
}

// wait returns a channel that is closed once an object has changed after a revision, or may have. leave is
// to be called when the wait is over.
func (a *audience) wait(object volume.UUID, seen uint64) (wake <-chan struct{}, leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last, known := a.last[object]
	if !known {
		last = a.published
	}
	if last > seen {
		now := make(chan struct{})
		close(now)
		return now, func() {}
	}
	a.last[object] = last
	w := a.waiting[object]
	if w == nil {
		w = &waiting{wake: make(chan struct{})}
		a.waiting[object] = w
	}
	w.count++
	return w.wake, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if w.count--; w.count > 0 {
			return
		}
		if a.waiting[object] == w {
			delete(a.waiting, object)
		}
		if a.waiting[object] == nil {
			delete(a.last, object) // nobody waits for it
		}
	}
}

// publish takes the latest state and wakes those whom the changes concern.
func (a *audience) publish(state *raft.State, revision uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := false
	concern(a.state, state, func(object volume.UUID) { a.changed(object, revision) }, func() { all = true })
	if all {
		for object := range a.last {
			a.changed(object, revision)
		}
	}
	a.state, a.published = state, revision
}

func (a *audience) changed(object volume.UUID, revision uint64) {
	if _, known := a.last[object]; known {
		a.last[object] = revision
	}
	if w := a.waiting[object]; w != nil {
		close(w.wake)
		delete(a.waiting, object)
	}
}
