package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// The whole table of who may speak raft, in the order of the reasons.
func TestCaller_admitted(t *testing.T) {
	reason := func(c caller) string {
		switch {
		case c.leads:
			return "it is followed"
		case c.member:
			return "the configuration has it"
		case !c.waits && c.leaderless >= leaderlessMax:
			return "nobody else may know better"
		case c.registered && c.coordinator:
			return "it is a coordinator"
		case !c.registered && c.listed:
			return "the cluster is young"
		}
		return ""
	}
	seen := map[string]int{}
	for bits := range 1 << 6 {
		bit := func(i int) bool { return bits>>i&1 == 1 }
		for _, leaderless := range []time.Duration{0, leaderlessMax - 1, leaderlessMax} {
			c := caller{member: bit(0), leads: bit(1), registered: bit(2), coordinator: bit(2) && bit(3),
				listed: bit(4), waits: bit(5), leaderless: leaderless}
			why := reason(c)
			seen[why]++
			require.Equal(t, why != "", c.admitted(), "%+v: %s", c, why)
		}
	}
	require.Len(t, seen, 6, "each reason, and none, is met")
	for name, c := range map[string]caller{
		"a host":                          {registered: true},
		"a host that node.yaml lists":     {registered: true, listed: true},
		"who never registered":            {},
		"a host, in the next election":    {registered: true, leaderless: 2 * time.Second},
		"a stranger, in the next restart": {leaderless: 2 * time.Second},
	} {
		require.False(t, c.admitted(), name)
	}
}

// fakeGroup is what one coordinator knows.
type fakeGroup struct {
	state   *raft.State
	members []raft.Member
	leader  volume.NodeID
}

func (g *fakeGroup) State() (*raft.State, uint64)    { return g.state, 1 }
func (g *fakeGroup) Members() ([]raft.Member, error) { return g.members, nil }
func (g *fakeGroup) Leader() (volume.NodeID, string) { return g.leader, "" }

// gated returns a gate with a clock and a log of its own.
func gated(g *fakeGroup, peers ...volume.NodeID) (gate *memberGate, pass func(time.Duration), log *bytes.Buffer) {
	now := time.Unix(1000, 0)
	log = &bytes.Buffer{}
	list := func() (all []peer.Peer) {
		for _, id := range peers {
			all = append(all, peer.Peer{ID: id})
		}
		return all
	}
	gate = newMemberGate(g, list, func() time.Time { return now }, slog.New(slog.NewTextHandler(log, nil)))
	return gate, func(d time.Duration) { now = now.Add(d) }, log
}

// A coordinator was away while the node that it knows as a host, or does not know at all, became a coordinator, got a
// vote and came to lead. It lets that one in, follows it, and learns the rest from it; the one that was away is needed
// for a quorum, so anything else would leave the cluster without a leader.
func TestMemberGate_aVoterThatWasAwayFollowsALeaderItNeverHeardOf(t *testing.T) {
	for _, known := range []bool{true, false} {
		self, old, next := volume.NewNodeID(), volume.NewNodeID(), volume.NewNodeID()
		g := &fakeGroup{state: raft.NewState(), members: []raft.Member{{ID: self}, {ID: old}}}
		g.state.Nodes[old] = &raft.Node{ID: old, Name: "old", Roles: []raft.Role{raft.RoleCoordinator}}
		if known {
			g.state.Nodes[next] = &raft.Node{ID: next, Name: "next", Roles: []raft.Role{raft.RoleHost}}
		}
		gate, pass, _ := gated(g, old)
		require.NoError(t, gate.refuses(old))
		require.Error(t, gate.refuses(next), "not at once: whoever waits for a restart would get in")
		pass(leaderlessMax)
		require.NoError(t, gate.refuses(next))
		g.leader = next // it said so
		for range 3 {
			require.NoError(t, gate.refuses(next), "by each further connection")
			pass(time.Second)
		}
		g.members = append(g.members, raft.Member{ID: next, Learner: true}) // its log says so
		g.leader = old
		require.NoError(t, gate.refuses(next))
	}
}

// A host's certificate does not get in with the elections, however often it knocks, and not with the first leader.
func TestMemberGate_aHostDoesNotGetInWithElections(t *testing.T) {
	self, leader, host := volume.NewNodeID(), volume.NewNodeID(), volume.NewNodeID()
	g := &fakeGroup{state: raft.NewState(), members: []raft.Member{{ID: self}, {ID: leader}}}
	g.state.Nodes[host] = &raft.Node{ID: host, Name: "h1", Roles: []raft.Role{raft.RoleHost, raft.RoleStorage}}
	gate, pass, log := gated(g, leader)
	for range 5 {
		g.leader = leader
		require.ErrorContains(t, gate.refuses(host), "node h1 ("+host.String()+") is no coordinator")
		g.leader = volume.NodeID{}
		for range 4 {
			pass(2 * time.Second)
			require.Error(t, gate.refuses(host))
		}
	}
	require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), "said once a minute")
	pass(tellEvery)
	g.leader = leader
	require.ErrorContains(t, gate.refuses(volume.NewNodeID()), "is not registered")
	require.ErrorContains(t, gate.refuses(host), "is no coordinator")
	require.Equal(t, 3, strings.Count(log.String(), "level=WARN"))
}

// A coordinator that waits to be added knows nothing but the coordinators that node.yaml and its assignments name.
func TestMemberGate_oneThatWaitsToBeAdded(t *testing.T) {
	leader := volume.NewNodeID()
	gate, pass, _ := gated(&fakeGroup{state: raft.NewState()}, leader)
	require.NoError(t, gate.refuses(leader))
	require.Error(t, gate.refuses(volume.NewNodeID()))
	pass(leaderlessMax)
	require.Error(t, gate.refuses(volume.NewNodeID()), "whoever it is, it could give this one a group of its own")
	require.NoError(t, gate.refuses(leader))
}
