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

// concern tells which nodes' assignments and which volumes' tickets may differ between two states. Apply
// replaces what it changes, so what is the same object is unchanged.
func concern(before, after *raft.State, object func(volume.UUID), all func()) {
	if before.Cluster != after.Cluster || len(before.Removed) != len(after.Removed) ||
		differs(before.Nodes, after.Nodes, func(volume.NodeID, *raft.Node) {}) ||
		differs(before.Joins, after.Joins, func(string, *raft.JoinToken) {}) {
		all() // addresses stand in all of them, and who is no part of the cluster
	}
	node := func(id volume.NodeID) { object(id.UUID) }
	differs(before.Volumes, after.Volumes, func(id volume.ID, v *raft.Volume) {
		object(id.UUID)
		for _, l := range v.Legs {
			node(l.Node)
		}
		if v.Attach != nil {
			node(v.Attach.Host)
		}
	})
	differs(before.Tombs, after.Tombs, func(_ volume.LegID, t raft.Tombstone) { node(t.Node) })
	differs(before.Domains, after.Domains, func(_ string, d *raft.Domain) { node(d.Host) })
}

// differs calls each with both forms of everything that is not the same in two maps, and reports whether
// there is any.
func differs[K, V comparable](before, after map[K]V, each func(K, V)) bool {
	found := false
	for key, value := range after {
		if old, ok := before[key]; !ok || old != value {
			found = true
			each(key, value)
			if ok {
				each(key, old)
			}
		}
	}
	for key, old := range before {
		if _, stays := after[key]; !stays {
			found = true
			each(key, old)
		}
	}
	return found
}
