package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
)

// A daemon that was started anew tells of what runs only once it has looked. A domain that was stopped meanwhile keeps
// its volumes until then: its guest may run, and is to end by itself.
func TestDomains_aDaemonThatLooksDoesNotSayThatNothingRuns(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"node n1 storage", "node n2 storage", "node h1 host", "volume root on=n1,n2",
		"domain web volumes=root hosts=h1", "start web h1", "serve root", "guest web h1 running run=1", "advance 5s",
		"only-engines h1", "stop web", "advance 4s"} {
		w.do(line)
	}
	h1 := w.node("h1").ID
	hear := func(seq uint64, looking bool, domains map[string]*DomainFact) []raft.Command {
		w.facts.HearNode(w.now, NodeReport{Node: h1, Start: 2, Seq: seq, Looking: looking, Domains: domains})
		var detach []raft.Command
		for _, c := range Controllers(w.view()) {
			if c.RequestDetach != nil || c.Detach != nil {
				detach = append(detach, c)
			}
		}
		return detach
	}
	require.Empty(t, hear(1, true, nil))
	w.now = w.now.Add(time.Second)
	require.Empty(t, hear(2, false, map[string]*DomainFact{"web": {Run: 1, State: DomainStopping}}))
	w.now = w.now.Add(time.Second)
	require.Len(t, hear(3, false, map[string]*DomainFact{"web": {Run: 1, State: DomainStopped}}), 1)
}

// A drill does not pass because the daemon of the host before was started anew and has yet to look what is left there.
func TestDrills_aDaemonThatLooksDoesNotSayThatNothingIsLeft(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"raise", "node n1 storage", "node n2 storage", "node h1 host", "node h2 host",
		"volume root on=n1,n2", "domain web volumes=root hosts=h1,h2", "start web h1", "serve root", "advance 1s",
		"guest web h1 running run=1", "advance 5s", "drill web h2", "advance 100ms", "serve root",
		"guest web h2 running run=2", "reads root", "advance 500ms"} {
		w.do(line)
	}
	w.run() // which ends the operation of the move
	drill, h1, seq := w.state.Drills[0], w.node("h1").ID, uint64(0)
	require.Contains(t, w.view().DrillWaits(drill), "h1 has not ended the guest")
	hear := func(looking bool, domains map[string]*DomainFact) string {
		seq++
		w.facts.HearNode(w.now, NodeReport{Node: h1, Start: 2, Seq: seq, Looking: looking, Domains: domains})
		return w.view().DrillWaits(drill)
	}
	require.Contains(t, hear(true, nil), "h1 does not say whether it has ended the guest")
	require.Contains(t, hear(false, map[string]*DomainFact{"web": {Run: 1, State: DomainRunning}}),
		"h1 has not ended the guest")
	require.Empty(t, hear(false, map[string]*DomainFact{"web": {Run: 1, State: DomainKilled}}))
}
