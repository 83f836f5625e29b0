package node

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// leaderlessMax is how long after it heard a leader last, or started, a coordinator goes on refusing those of whom it
// knows no reason to talk to them.
const leaderlessMax = 10 * time.Second

// caller is what a coordinator knows of a node that opens a connection to its raft port, and of who leads.
type caller struct {
	member      bool // of the raft group, with a vote or without, by the latest configuration in the log
	leads       bool // it is the leader that this coordinator follows
	registered  bool // the state has the node
	coordinator bool // the state has it as a coordinator that does not only wait for another's name
	listed      bool // node.yaml or the latest assignment has it among the coordinators
	waits       bool // this coordinator has no group yet, and knows coordinators that may add it to theirs
	leaderless  time.Duration
}

// admitted says whether a node may speak raft. Every node has a certificate, and whoever speaks raft can have this
// coordinator believe whatever it likes; so a host or a storage node must not.
//
// The rule must never keep a voter out for good. What this coordinator knows may be old: it may have been away while
// a node became a coordinator, got a vote and came to lead, and then it learns of that only from that very leader,
// when it lets it in.
//
//   - Whoever it follows, it lets in. So a leader that got in once stays in.
//   - While it follows a leader, the others need nothing of it: it votes for none of them, by raft's own rule, and what
//     it does not know yet comes in that leader's log. A group's configuration counts from when it is in the log, so
//     whoever gets a vote is known here before this coordinator's vote for it could be counted.
//   - Once it follows nobody for leaderlessMax, it lets everybody in, as it may be the one that is behind. The time
//     before is there so that a node that knocks again and again does not get in with each election. It costs a voter
//     that was away, and whose leader is one that it never heard of, so much time after its start, and nothing else:
//     this vote was missed for longer already.
//   - That is for a voter. One that waits to be added to a group has no vote that could be missed, and would take any
//     group that somebody gives it; it lets in those that are listed, who add it.
//
// A node that has the role no more is let in for as long as the configuration has it. What node.yaml says counts only
// for a node that the state does not know, as in a cluster that has just begun.
func (c caller) admitted() bool {
	behind := !c.waits && c.leaderless >= leaderlessMax
	return c.member || c.leads || c.coordinator || c.listed && !c.registered || behind
}

// group is what the gate needs of a raft.Coordinator.
type group interface {
	State() (*raft.State, uint64)
	Members() ([]raft.Member, error)
	Leader() (volume.NodeID, string)
}

// memberGate decides who may speak raft with this coordinator. It is safe for use by many goroutines.
type memberGate struct {
	group group
	peers func() []peer.Peer
	now   func() time.Time
	log   *slog.Logger

	mu    sync.Mutex
	heard time.Time                   // when a leader was followed last, or the gate made
	told  map[volume.NodeID]time.Time // when a refusal was logged
}

func newMemberGate(g group, peers func() []peer.Peer, now func() time.Time, log *slog.Logger) *memberGate {
	return &memberGate{group: g, peers: peers, now: now, log: log, heard: now(),
		told: map[volume.NodeID]time.Time{}}
}

// refuses returns why a node may not speak raft with this coordinator; nil if it may.
func (g *memberGate) refuses(node volume.NodeID) error {
	c, name, err := g.look(node)
	if err != nil {
		return err
	}
	if c.admitted() {
		return nil
	}
	err = fmt.Errorf("node %s is not registered, and speaks raft: only coordinators may", node)
	if c.registered {
		err = fmt.Errorf("node %s (%s) is no coordinator, and speaks raft: only coordinators may", name, node)
	}
	if g.toTell(node) {
		g.log.Warn("a connection to the coordinator is refused: find out what runs on that node, unless it became a "+
			"coordinator while this one was away, which will let it in", "error", err)
	}
	return err
}

// look gathers what is known of a node.
func (g *memberGate) look(node volume.NodeID) (c caller, name string, err error) {
	members, err := g.group.Members()
	if err != nil {
		return c, "", err
	}
	state, _ := g.group.State()
	c.leaderless = g.leaderless()
	leader, _ := g.group.Leader()
	c.leads = leader == node
	c.member = slices.ContainsFunc(members, func(m raft.Member) bool { return m.ID == node })
	peers := g.peers()
	c.listed = slices.ContainsFunc(peers, func(p peer.Peer) bool { return p.ID == node })
	c.waits = len(members) == 0 && len(peers) > 0
	if n := state.Nodes[node]; n != nil {
		c.registered, c.coordinator, name = true, n.Has(raft.RoleCoordinator) && !n.Pending, n.Name
	}
	return c, name, nil
}

// leaderless returns how long this coordinator has followed nobody, nor led, as far as it was asked.
func (g *memberGate) leaderless() time.Duration {
	now := g.now()
	leader, _ := g.group.Leader()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !leader.IsZero() {
		g.heard = now
	}
	return now.Sub(g.heard)
}

// tellEvery is how often the refusal of one node is logged.
const tellEvery = time.Minute

// toTell reports whether a node's refusal is to be logged now.
func (g *memberGate) toTell(node volume.NodeID) bool {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if last, told := g.told[node]; told && now.Sub(last) < tellEvery {
		return false
	}
	if len(g.told) >= handshakesMax {
		clear(g.told)
	}
	g.told[node] = now
	return true
}
