package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

func TestMeasure(t *testing.T) {
	begin := time.Now()
	for name, x := range map[string]struct {
		trip, there time.Duration // of the whole trip, and of the way there
		ahead       time.Duration // the node's clock
	}{
		"no trip":            {0, 0, 3 * time.Second},
		"even ways":          {20 * time.Millisecond, 10 * time.Millisecond, -time.Second},
		"all of it on there": {20 * time.Millisecond, 20 * time.Millisecond, time.Hour},
		"all of it on back":  {20 * time.Millisecond, 0, time.Hour},
	} {
		said := begin.Add(x.there).Add(-x.ahead) // by the other's clock
		got := measure(begin, begin.Add(x.trip), said)
		require.Equal(t, x.trip/2, got.bound, name)
		require.LessOrEqual(t, got.offset-x.ahead, got.bound, name)
		require.GreaterOrEqual(t, got.offset-x.ahead, -got.bound, name)
	}
}

func TestClockWatch_theQuickestExchangeWithTheLeaderCounts(t *testing.T) {
	var c clockWatch
	require.Zero(t, c.status(time.Now()))
	a, b := volume.NewNodeID(), volume.NewNodeID()
	now := time.Now()
	reply := func(from, leader volume.NodeID, trip, ahead time.Duration) peer.HeartbeatReply {
		return peer.HeartbeatReply{From: from, Leader: leader, Sent: now, Received: now.Add(trip),
			At: now.Add(trip / 2).Add(-ahead).Round(0)}
	}
	c.heard([]peer.HeartbeatReply{reply(a, a, 100*time.Millisecond, time.Second), reply(b, a, 0, time.Hour)})
	c.heard([]peer.HeartbeatReply{reply(a, a, 2*time.Millisecond, 2*time.Second)})
	c.heard([]peer.HeartbeatReply{reply(a, a, 50*time.Millisecond, 9*time.Second), {From: a, Leader: a}})
	require.Equal(t, peer.ClockStatus{Leader: a, Offset: 2 * time.Second, Bound: time.Millisecond}, c.status(now))
	for range exchangesKept {
		c.heard([]peer.HeartbeatReply{reply(a, a, 40*time.Millisecond, 3*time.Second)})
	}
	require.Equal(t, 3*time.Second, c.status(now).Offset, "old ones go")
	c.heard([]peer.HeartbeatReply{reply(b, b, 10*time.Millisecond, 0)})
	require.Equal(t, peer.ClockStatus{Leader: b, Bound: 5 * time.Millisecond}, c.status(now), "another leader's clock")
}

func TestClockWatch_steps(t *testing.T) {
	var c clockWatch
	a := volume.NewNodeID()
	begin := time.Now()
	c.tick(begin)
	c.tick(begin.Add(500 * time.Millisecond))
	c.heard([]peer.HeartbeatReply{{From: a, Leader: a, Sent: begin, Received: begin, At: begin.Round(0)}})
	require.Zero(t, c.status(begin).Step, "time passes")
	// A test cannot set the machine's clock: it says by how much its two readings disagree.
	c.noteStep(-time.Hour, begin.Add(time.Second))
	s := c.status(begin.Add(11 * time.Second))
	require.Equal(t, -time.Hour, s.Step)
	require.Equal(t, 10*time.Second, s.StepAge)
	require.True(t, s.Leader.IsZero(), "measurements with the clock before say nothing now")
	c.noteStep(50*time.Millisecond, begin.Add(20*time.Second))
	require.Equal(t, -time.Hour, c.status(begin.Add(20*time.Second)).Step, "NTP slews by as much")
}
