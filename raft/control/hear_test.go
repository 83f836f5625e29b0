package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

func report(node volume.NodeID, start, seq uint64) NodeReport {
	return NodeReport{Node: node, Start: start, Seq: seq, Legs: map[volume.LegID]*LegFact{},
		Domains: map[string]*DomainFact{}}
}

// TestHearNode_lateHeartbeatsChangeNothing: heartbeats may overtake each other, also over a restart of
// the daemon.
func TestHearNode_lateHeartbeatsChangeNothing(t *testing.T) {
	f, n, now := NewFacts(), volume.NewNodeID(), time.Unix(1000, 0)
	require.True(t, f.HearNode(now, report(n, 7, 2)), "a new node")
	require.False(t, f.HearNode(now.Add(time.Second), report(n, 7, 2)), "told twice")
	require.False(t, f.HearNode(now.Add(time.Second), report(n, 7, 1)))
	require.Equal(t, now, f.Nodes[n].Heard)

	require.True(t, f.HearNode(now.Add(2*time.Second), report(n, 8, 1)), "the daemon was restarted")
	require.False(t, f.HearNode(now.Add(3*time.Second), report(n, 7, 3)), "of the start before")
	require.Equal(t, now.Add(2*time.Second), f.Nodes[n].Heard)
	require.False(t, f.HearNode(now.Add(4*time.Second), report(n, 8, 2)), "nothing new but the time")
	require.Equal(t, now.Add(4*time.Second), f.Nodes[n].Heard)
}

func TestHearNode_saysSinceWhen(t *testing.T) {
	f, n, now := NewFacts(), volume.NewNodeID(), time.Unix(1000, 0)
	leg := volume.NewLegID()
	hear := func(after time.Duration, seq uint64, c Condition, run uint64, s DomainState) bool {
		r := report(n, 1, seq)
		r.Legs[leg] = &LegFact{Condition: c}
		r.Domains["web"] = &DomainFact{Run: run, State: s}
		return f.HearNode(now.Add(after), r)
	}
	require.True(t, hear(0, 1, ConditionOK, 1, DomainRunning))
	require.False(t, hear(time.Second, 2, ConditionOK, 1, DomainRunning))
	require.Equal(t, now, f.Nodes[n].Legs[leg].Since)
	require.Equal(t, now, f.Nodes[n].Domains["web"].Since)
	require.True(t, hear(2*time.Second, 3, ConditionBad, 1, DomainExited))
	require.Equal(t, now.Add(2*time.Second), f.Nodes[n].Legs[leg].Since)
	require.Equal(t, now.Add(2*time.Second), f.Nodes[n].Domains["web"].Since)
	require.Equal(t, 1, f.restarts["web"].count)
}

// TestHearEngine_whatIsOverStaysOver: the daemon's word that an engine is gone may be followed by a
// heartbeat that the engine sent before.
func TestHearEngine_whatIsOverStaysOver(t *testing.T) {
	f, now := NewFacts(), time.Unix(1000, 0)
	e := EngineFact{Node: volume.NewNodeID(), Volume: volume.NewID(), AttachID: volume.NewAttachID(),
		State: EngineServing}
	require.True(t, f.HearEngine(now, e))
	require.False(t, f.HearEngine(now.Add(time.Second), e))

	gone := e
	gone.State, gone.Reason = EngineFailed, "its process is gone"
	r := report(e.Node, 1, 1)
	r.Engines = []EngineFact{gone}
	require.True(t, f.HearNode(now.Add(2*time.Second), r))
	require.False(t, f.HearEngine(now.Add(3*time.Second), e))
	require.Equal(t, EngineFailed, f.Engines[e.AttachID].State)
	n, why := f.EngineFailures(e.Volume)
	require.Equal(t, 1, n)
	require.Equal(t, "its process is gone", why)
}

// TestHearEngine_failuresInARow: an engine that was fenced by its successor has not failed, and one
// that serves ends the row.
func TestHearEngine_failuresInARow(t *testing.T) {
	f, now, id := NewFacts(), time.Unix(1000, 0), volume.NewID()
	hear := func(s EngineState) {
		f.HearEngine(now, EngineFact{Volume: id, AttachID: volume.NewAttachID(), State: s, Reason: string(s)})
	}
	count := func() int { n, _ := f.EngineFailures(id); return n }
	hear(EngineFenced)
	require.Zero(t, count())
	hear(EngineFailed)
	hear(EngineFailed)
	require.Equal(t, 2, count())
	hear(EngineServing)
	require.Zero(t, count())
	hear(EngineFailed)
	require.Equal(t, 1, count())
}

// TestHearEngine_theDaemonIsNotTheEngine: that a daemon lists an engine is no sign of the engine's own.
func TestHearEngine_theDaemonIsNotTheEngine(t *testing.T) {
	f, now := NewFacts(), time.Unix(1000, 0)
	e := EngineFact{Node: volume.NewNodeID(), Volume: volume.NewID(), AttachID: volume.NewAttachID(),
		State: EngineServing}
	r := report(e.Node, 1, 1)
	r.Engines = []EngineFact{e}
	f.HearNode(now, r)
	require.True(t, f.Engines[e.AttachID].Heard.IsZero())
	f.HearEngine(now.Add(time.Second), e)
	r.Seq = 2
	f.HearNode(now.Add(2*time.Second), r)
	require.Equal(t, now.Add(time.Second), f.Engines[e.AttachID].Heard)
}
