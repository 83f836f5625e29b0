package raft

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// group is a number of coordinators over an in-memory network.
type group struct {
	*script
	dir     string
	members []Member
	running map[string]*Coordinator
	trans   map[string]*hraft.InmemTransport
}

func newGroup(t *testing.T, names ...string) *group {
	g := &group{script: newScript(t), dir: t.TempDir(), running: make(map[string]*Coordinator),
		trans: make(map[string]*hraft.InmemTransport)}
	for _, name := range names {
		g.members = append(g.members, Member{ID: g.node(name), Addr: name})
	}
	for _, name := range names {
		g.start(name, g.members)
	}
	t.Cleanup(func() {
		for name := range g.running {
			g.stop(name)
		}
	})
	return g
}

func (g *group) options(name string, bootstrap []Member) Options {
	_, g.trans[name] = hraft.NewInmemTransport(hraft.ServerAddress(name))
	return Options{
		ID: g.node(name), Dir: filepath.Join(g.dir, name), Transport: g.trans[name], Bootstrap: bootstrap,
		SnapshotEntries: 8,
		// Far above what a busy machine keeps a goroutine or an fsync waiting: a leader that loses its lease in
		// between would fail tests that are about something else.
		Timing: Timing{
			Heartbeat: 600 * time.Millisecond, Lease: 500 * time.Millisecond, Commit: 5 * time.Millisecond,
		},
	}
}

// start starts a coordinator and connects it with the running ones.
func (g *group) start(name string, bootstrap []Member) *Coordinator {
	o := g.options(name, bootstrap)
	for other := range g.running {
		g.connect(name, other)
	}
	c, err := Open(o)
	require.NoError(g.t, err)
	g.running[name] = c
	return c
}

func (g *group) connect(a, b string) {
	g.trans[a].Connect(hraft.ServerAddress(b), g.trans[b])
	g.trans[b].Connect(hraft.ServerAddress(a), g.trans[a])
}

// isolate cuts a coordinator off from all others.
func (g *group) isolate(name string) {
	for other, trans := range g.trans {
		if other == name {
			trans.DisconnectAll()
		} else {
			trans.Disconnect(hraft.ServerAddress(name))
		}
	}
}

func (g *group) stop(name string) {
	c := g.running[name]
	delete(g.running, name)
	g.isolate(name)
	require.NoError(g.t, c.Close())
	require.NoError(g.t, c.Close(), "closing twice is harmless")
}

// leader waits for a running coordinator, other than the named one, that leads.
func (g *group) leader(except string) (string, *Coordinator) {
	var found string
	require.Eventually(g.t, func() bool {
		for name, c := range g.running {
			if name != except && c.Leading() {
				found = name
				return true
			}
		}
		return false
	}, 20*time.Second, 5*time.Millisecond, "nobody leads")
	return found, g.running[found]
}

// on applies lines by a coordinator and returns the last result.
func (g *group) on(c *Coordinator, lines ...string) Result {
	var result Result
	for _, line := range lines {
		g.state, _ = c.State()
		r, revision, err := c.Apply(g.t.(*testing.T).Context(), g.parse(line))
		require.NoError(g.t, err, line)
		result = r
		_, now := c.State()
		require.GreaterOrEqual(g.t, now, revision, "the proposer sees its own command")
	}
	return result
}

// agree waits until all running coordinators have the same state. A leader that could not reach a member for long
// tries again after ten seconds at most, of a machine that is not busy.
func (g *group) agree() *State {
	var state *State
	require.Eventually(g.t, func() bool {
		texts := make(map[string]bool)
		for _, c := range g.running {
			s, revision := c.State()
			texts[fmt.Sprint(revision, " ", string(mustJSON(g.t, s)))] = true
			state = s
		}
		return len(texts) == 1
	}, time.Minute, 5*time.Millisecond, "the replicas differ")
	return state
}

func provisionLines() []string {
	return []string{
		"init_cluster demo", "register n1 storage stores=s1", "register n2 storage stores=s2",
		"register h1 host", "register h2 host", "create web A@n1/s1 B@n2/s2 layout:mirror:2",
		"provisioned web A", "provisioned web B",
	}
}

// A leader that dies in the middle of an attach: the next one continues in the same epoch, and what
// was repeated gets the same answer (protocol §5, rows 12 and 13).
func TestCoordinator_LeaderChangeInTheMiddleOfAnAttach(t *testing.T) {
	g := newGroup(t, "n1", "n2", "n3")
	first, c := g.leader("")
	require.Nil(t, g.on(c, provisionLines()...).Err)
	begun := g.on(c, "begin web h1 a1")
	require.Equal(t, volume.Epoch(1), begun.Epoch)
	g.on(c, "fence web A e=1 instance=1")
	g.stop(first)

	_, c = g.leader("")
	require.Equal(t, begun, g.on(c, "begin web h1 a1"), "repeated by the host")
	require.Equal(t, CodeWait, g.on(c, "activate web e=1").Err.Code)
	require.Nil(t, g.on(c, "fence web B e=1 instance=2", "activate web e=1").Err)

	g.start(first, nil) // what Bootstrap says no longer counts
	s := g.agree()
	v := s.VolumeByName("web")
	require.Equal(t, volume.PhaseAttached, v.Phase)
	require.Equal(t, volume.Epoch(1), v.Epoch)
	require.Len(t, v.InSync, 2)
}

// A leader that is cut off answers nothing as applied, and the others go on without it.
func TestCoordinator_IsolatedLeader(t *testing.T) {
	g := newGroup(t, "n1", "n2", "n3")
	cut, old := g.leader("")
	g.on(old, provisionLines()...)
	g.isolate(cut)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, _, err := old.Apply(ctx, g.parse("begin web h1 lost"))
	require.Error(t, err)
	require.True(t, isAny(err, ErrOutcomeUnknown, ErrNotLeader), "%v", err)

	_, c := g.leader(cut)
	require.Nil(t, g.on(c, "begin web h2 kept").Err)
	require.Eventually(t, func() bool { return !old.Leading() }, 10*time.Second, 5*time.Millisecond)
	_, _, err = old.Apply(t.Context(), g.parse("begin web h1 lost"))
	require.ErrorIs(t, err, ErrNotLeader)

	for other := range g.running {
		if other != cut {
			g.connect(cut, other)
		}
	}
	v := g.agree().VolumeByName("web")
	require.Equal(t, g.node("h2"), v.Attach.Host)
	require.Equal(t, volume.Epoch(1), v.Epoch)
}

// A new member is filled from a snapshot, and a member starts from its own.
// A leader that lost the others settles nothing, whatever it takes itself for; nor does one that follows.
func TestCoordinator_settlesOnlyWhileItLeads(t *testing.T) {
	g := newGroup(t, "n1", "n2", "n3")
	name, leader := g.leader("")
	require.NoError(t, leader.Settle())
	for other, c := range g.running {
		if other != name {
			require.ErrorIs(t, c.Settle(), ErrNotLeader)
		}
	}
	g.isolate(name)
	require.ErrorIs(t, leader.Settle(), ErrNotLeader)
}

func TestCoordinator_SnapshotAndMembers(t *testing.T) {
	g := newGroup(t, "n1")
	_, c := g.leader("")
	g.on(c, provisionLines()...)
	for i := range 20 {
		g.on(c, fmt.Sprintf("event info cluster k%d", i))
	}
	require.NoError(t, c.raft.Snapshot().Error())
	g.on(c, "event info cluster last")

	g.start("n2", nil)
	require.False(t, g.running["n2"].Leading())
	require.NoError(t, c.AddMember(t.Context(), Member{ID: g.node("n2"), Addr: "n2"}))
	g.agree()
	members, err := c.Members()
	require.NoError(t, err)
	require.Equal(t, []Member{{ID: g.node("n1"), Addr: "n1"}, {ID: g.node("n2"), Addr: "n2"}}, members)
	require.ErrorIs(t, g.running["n2"].AddMember(t.Context(), members[0]), ErrNotLeader)
	id, addr := g.running["n2"].Leader()
	require.Equal(t, g.node("n1"), id)
	require.Equal(t, "n1", addr)

	require.NoError(t, c.RemoveMember(t.Context(), g.node("n2")))
	g.stop("n2")
	want, revision := c.State()
	g.stop("n1")
	_, _, err = c.Apply(t.Context(), g.parse("event info cluster late"))
	require.ErrorIs(t, err, ErrClosed)

	c = g.start("n1", nil)
	g.leader("")
	got, again := c.State()
	require.Equal(t, revision, again)
	require.Equal(t, string(mustJSON(t, want)), string(mustJSON(t, got)))
}

// A learner that cannot be reached costs nothing; with a vote it would have cost the quorum.
func TestCoordinator_aLearnerCountsForNoMajority(t *testing.T) {
	g := newGroup(t, "n1")
	_, c := g.leader("")
	nobody := Member{ID: g.node("n9"), Addr: "n9", Learner: true}
	require.NoError(t, c.AddMember(t.Context(), nobody))
	g.on(c, "init_cluster demo")
	members, err := c.Members()
	require.NoError(t, err)
	require.Equal(t, []Member{{ID: g.node("n1"), Addr: "n1"}, nobody}, members)

	g.start("n2", nil)
	require.NoError(t, c.AddMember(t.Context(), Member{ID: g.node("n2"), Addr: "n2", Learner: true}))
	g.agree()
	require.NoError(t, c.AddMember(t.Context(), Member{ID: g.node("n2"), Addr: "n2"}))
	require.NoError(t, c.RemoveMember(t.Context(), nobody.ID))
	members, err = c.Members()
	require.NoError(t, err)
	require.Equal(t, []Member{{ID: g.node("n1"), Addr: "n1"}, {ID: g.node("n2"), Addr: "n2"}}, members)
}

// Watchers hear of each change, and of none that was refused.
func TestCoordinator_Changed(t *testing.T) {
	g := newGroup(t, "n1")
	_, c := g.leader("")
	_, start := c.State()
	changed := c.Changed(start)
	g.on(c, "stop nobody")
	select {
	case <-changed:
		t.Fatal("a refused command changes nothing")
	default:
	}
	g.on(c, "init_cluster demo")
	<-changed
	<-c.Changed(start) // closed at once
	select {
	case lead := <-c.LeaderCh():
		require.True(t, lead)
	case <-time.After(10 * time.Second):
		t.Fatal("no word of the leadership")
	}
	require.Error(t, func() error { _, _, err := c.Apply(t.Context(), Command{}); return err }())
	g.stop("n1")
	for lead := range c.LeaderCh() {
		require.False(t, lead)
	}
}

// An entry that cannot be understood stops the member: it neither skips it nor makes snapshots.
func TestCoordinator_StopsAtAnEntryItDoesNotUnderstand(t *testing.T) {
	g := newGroup(t, "n1")
	_, c := g.leader("")
	g.on(c, "init_cluster demo")
	future := c.raft.Apply(checksummed([]byte(`{"grow_volume":{}}`)), time.Second)
	require.NoError(t, future.Error())
	<-c.Failed()
	require.ErrorContains(t, c.Err(), "newer release")
	require.Eventually(t, func() bool { return !c.Leading() }, 10*time.Second, 5*time.Millisecond)
	_, _, err := c.Apply(t.Context(), g.parse("event info cluster late"))
	require.ErrorIs(t, err, ErrNotLeader)
	require.ErrorContains(t, err, "newer release")
	_, err = c.fsm.Snapshot()
	require.Error(t, err)
	s, _ := c.State()
	require.Equal(t, "demo", s.Cluster.Name)
}

// The same over TCP, as nodes run it.
func TestCoordinator_OverTCP(t *testing.T) {
	s := newScript(t)
	var members []Member
	var streams []hraft.StreamLayer
	for _, name := range []string{"n1", "n2", "n3"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		dial := func(ctx context.Context, addr string, want volume.NodeID) (net.Conn, error) {
			at := slices.IndexFunc(members, func(m Member) bool { return m.Addr == addr })
			if at < 0 || members[at].ID != want {
				return nil, fmt.Errorf("%s at %s is not who is wanted there", want, addr)
			}
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
		streams = append(streams, NewStreamLayer(l, dial, ""))
		members = append(members, Member{ID: s.node(name), Addr: l.Addr().String()})
	}
	var leader *Coordinator
	var all []*Coordinator
	for i, m := range members {
		c, err := Open(Options{ID: m.ID, Dir: t.TempDir(), Stream: streams[i], Bootstrap: members,
			Timing: Timing{Heartbeat: 300 * time.Millisecond}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		all = append(all, c)
	}
	require.Eventually(t, func() bool {
		for _, c := range all {
			if c.Leading() {
				leader = c
			}
		}
		return leader != nil
	}, 20*time.Second, 10*time.Millisecond)
	r, revision, err := leader.Apply(t.Context(), s.parse("init_cluster demo"))
	require.NoError(t, err)
	require.Nil(t, r.Err)
	for _, c := range all {
		<-c.Changed(revision - 1)
		state, _ := c.State()
		require.Equal(t, "demo", state.Cluster.Name)
	}
	require.Equal(t, "10.0.0.1:7", NewStreamLayer(streams[0], nil, "10.0.0.1:7").Addr().String())
}
