package coordinator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// audienceWorld is a state that changes, and an audience that is told.
type audienceWorld struct {
	t        *testing.T
	a        *audience
	state    *raft.State
	revision uint64
	n1, n2   volume.NodeID
	v1, v2   volume.ID
}

func newAudienceWorld(t *testing.T) *audienceWorld {
	w := &audienceWorld{t: t, a: newAudience(), state: raft.NewState(), n1: volume.NewNodeID(),
		n2: volume.NewNodeID(), v1: volume.NewID(), v2: volume.NewID()}
	w.change(func(s *raft.State) {
		s.Nodes[w.n1], s.Nodes[w.n2] = &raft.Node{ID: w.n1}, &raft.Node{ID: w.n2}
		s.Volumes[w.v1] = &raft.Volume{ID: w.v1, Legs: []*raft.Leg{{ID: volume.NewLegID(), Node: w.n1}}}
		s.Volumes[w.v2] = &raft.Volume{ID: w.v2, Legs: []*raft.Leg{{ID: volume.NewLegID(), Node: w.n2}}}
	})
	return w
}

// change publishes a state that differs.
func (w *audienceWorld) change(edit func(*raft.State)) {
	w.state = w.state.Fork()
	edit(w.state)
	w.revision++
	w.a.publish(w.state, w.revision)
}

// woken runs change and reports whether who waits for an object is woken by it.
func (w *audienceWorld) woken(object volume.UUID, edit func(*raft.State)) bool {
	wake, leave := w.a.wait(object, w.revision)
	defer leave()
	require.False(w.t, closed(wake), "nothing has changed yet")
	w.change(edit)
	return closed(wake)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestAudience_onlyThoseConcernedAreWoken(t *testing.T) {
	w := newAudienceWorld(t)
	attach := func(s *raft.State) {
		v := *s.Volumes[w.v1]
		v.Attach = &raft.Attach{ID: volume.NewAttachID(), Host: w.n2}
		s.Volumes[w.v1] = &v
	}
	require.True(t, w.woken(w.v1.UUID, attach))
	require.False(t, w.woken(w.v2.UUID, attach))
	require.False(t, w.woken(w.n1.UUID, attach), "it has a leg of the volume, whose order stays the same")
	require.True(t, w.woken(w.n2.UUID, attach), "it is the host")
	detach := func(s *raft.State) {
		v := *s.Volumes[w.v1]
		v.Attach = nil
		s.Volumes[w.v1] = &v
	}
	fence := func(s *raft.State) {
		v := *s.Volumes[w.v1]
		leg := *v.Legs[0]
		leg.FencedEpoch++
		v.Legs = []*raft.Leg{&leg}
		s.Volumes[w.v1] = &v
	}
	require.True(t, w.woken(w.n1.UUID, fence), "its label must not be older")
	require.False(t, w.woken(w.n2.UUID, fence))
	require.False(t, w.woken(w.v1.UUID, fence))
	require.True(t, w.woken(w.n2.UUID, detach), "it was the host")
	require.False(t, w.woken(w.n2.UUID, detach), "it is not any more")
	require.True(t, w.woken(w.n2.UUID, func(s *raft.State) { s.Domains["d"] = &raft.Domain{Host: w.n2} }))
	require.False(t, w.woken(w.n1.UUID, func(s *raft.State) { s.Domains["d"] = &raft.Domain{Host: w.n2} }))
	require.True(t, w.woken(w.n1.UUID, func(s *raft.State) {
		s.Tombs[volume.NewLegID()] = raft.Tombstone{Node: w.n1}
	}))
	require.True(t, w.woken(w.v1.UUID, func(s *raft.State) { delete(s.Volumes, w.v1) }))
	require.True(t, w.woken(w.v2.UUID, func(s *raft.State) { s.Nodes[w.n1] = &raft.Node{ID: w.n1, API: "x"} }),
		"a node's address may stand in every ticket")
}

// A change between a look and the wait for the next one is not missed.
func TestAudience_aChangeBeforeTheWait(t *testing.T) {
	w := newAudienceWorld(t)
	seen := w.revision
	_, leave := w.a.wait(w.v1.UUID, seen)
	edit := func(s *raft.State) { s.Volumes[w.v1] = &raft.Volume{ID: w.v1} }
	w.change(edit)
	wake, _ := w.a.wait(w.v1.UUID, seen)
	require.True(t, closed(wake), "the object was watched when it changed")
	leave()
	w.change(edit)
	wake, _ = w.a.wait(w.v2.UUID, seen)
	require.True(t, closed(wake), "nobody watched the object: it may have changed")
	wake, leave = w.a.wait(w.v2.UUID, w.revision)
	require.False(t, closed(wake))
	leave()
	for range 100 { // what nobody waits for is forgotten
		_, leave := w.a.wait(volume.NewUUID(), w.revision)
		leave()
	}
	require.Empty(t, w.a.last)
	require.Empty(t, w.a.waiting)
}

func TestPropose_together(t *testing.T) {
	place := raft.Command{PlaceDomain: &raft.PlaceDomain{}}
	event := raft.Command{RecordEvent: &raft.RecordEvent{}}
	detach := raft.Command{Detach: &raft.Detach{}}
	require.Equal(t, 1, together([]raft.Command{event, event}), "events keep their order")
	require.Equal(t, 2, together([]raft.Command{place, place, detach, place}))
	many := make([]raft.Command, 100)
	for i := range many {
		many[i] = detach
	}
	require.Equal(t, proposeWidth, together(many))
}
