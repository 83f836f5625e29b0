package engine

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// adapterSet is a mirror that keeps the adapter of each leg as long as it is told to.
type adapterSet struct {
	set
	legs map[volume.LegID]*leg
}

func (s *adapterSet) Knows(id volume.LegID) bool { return s.legs[id] != nil }

func (s *adapterSet) SetLegs(specs []mirror.LegSpec) error {
	for _, spec := range specs {
		if !s.Knows(spec.ID) {
			s.legs[spec.ID] = spec.Leg.(*leg)
		}
	}
	return nil
}

// A leg's session goes to where the newest ticket says that its node is. The adapter that the mirror has
// is the one that learns it, also after a ticket without the leg.
func TestTicket_legsAreFollowed(t *testing.T) {
	known := &adapterSet{legs: map[volume.LegID]*leg{}}
	p := newProcess(Start{}, nil, slog.New(slog.DiscardHandler))
	defer p.stop()
	p.set = known
	a, b := volume.NewLegID(), volume.NewLegID()
	take := func(legs ...peer.TicketLeg) { require.NoError(t, p.set.SetLegs(p.legSpecs(legs))) }
	at := func(id volume.LegID) string { return *known.legs[id].portal.Load() }

	take(peer.TicketLeg{ID: a, Portal: "old"}, peer.TicketLeg{ID: b, Portal: "there"})
	first := known.legs[a]
	take(peer.TicketLeg{ID: a, Portal: "new"}, peer.TicketLeg{ID: b, Portal: "there"})
	require.Equal(t, "new", at(a))
	require.Equal(t, "there", at(b))

	take(peer.TicketLeg{ID: b, Portal: "there"}) // a is still in use
	take(peer.TicketLeg{ID: a, Portal: "newer"}, peer.TicketLeg{ID: b, Portal: "there"})
	require.Equal(t, "newer", at(a))
	require.Same(t, first, known.legs[a])

	take(peer.TicketLeg{ID: b, Portal: "there"})
	delete(known.legs, a) // let go, and stopped
	take(peer.TicketLeg{ID: b, Portal: "there"})
	require.Len(t, p.legs, 1)
	take(peer.TicketLeg{ID: a, Portal: "newest"}, peer.TicketLeg{ID: b, Portal: "there"})
	require.NotSame(t, first, known.legs[a], "one that was stopped is not started again")
	require.Equal(t, "newest", at(a))
}

// An engine takes the pace of the most demanding coordinator; one of an earlier release names none.
func TestPace(t *testing.T) {
	replies := func(paces ...time.Duration) (out []peer.HeartbeatReply) {
		for _, p := range paces {
			out = append(out, peer.HeartbeatReply{Pace: p})
		}
		return out
	}
	require.Equal(t, heartbeatEvery, pace(peer.EngineServing, nil), "nobody answers")
	require.Equal(t, time.Second, pace(peer.EngineServing, replies(2*time.Second, time.Second)))
	require.Equal(t, heartbeatEvery, pace(peer.EngineServing, replies(2*time.Second, 0)))
	require.Equal(t, heartbeatEvery, pace(peer.EngineConnecting, replies(2*time.Second)))
}

// TestSpread: engines that began together do not beat together.
func TestSpread(t *testing.T) {
	slow := 4 * time.Second
	require.Equal(t, heartbeatEvery, spread(heartbeatEvery, slow, 0.9))
	require.Equal(t, time.Second, spread(slow, heartbeatEvery, 0.25), "the first is anywhere in the pace")
	require.Equal(t, slow, spread(slow, slow, 0))
	require.Equal(t, slow-slow/8, spread(slow, slow, 1))
	require.Equal(t, slow, spread(slow, 2*slow, 0), "a faster pace is taken at once")
}
