package peer_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// node is a coordinator that answers as the test says.
type node struct {
	peer.Peer
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func newNode(t *testing.T, answer http.HandlerFunc) *node {
	n := &node{}
	n.answer.Store(&answer)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.asked.Add(1)
		(*n.answer.Load())(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections() // ends the calls that are held, which Close waits for
		s.Close()
	})
	n.Peer = peer.Peer{ID: volume.NewNodeID(), API: strings.TrimPrefix(s.URL, "http://")}
	return n
}

func answer(status int, body any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
}

func names(leader volume.NodeID) http.HandlerFunc {
	return answer(http.StatusMisdirectedRequest, peer.HeartbeatReply{Leader: leader})
}

// introduces names a leader with its address.
func introduces(leader peer.Peer) http.HandlerFunc {
	return answer(http.StatusMisdirectedRequest, peer.HeartbeatReply{Leader: leader.ID, LeaderAPI: leader.API})
}

// silent holds the call until its client gives up.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client left
	<-r.Context().Done()
}

func clientOf(t *testing.T, nodes ...*node) *peer.Client {
	var o peer.ClientOptions
	for _, n := range nodes {
		o.Peers = append(o.Peers, n.Peer)
	}
	c := peer.NewClient(o)
	t.Cleanup(c.Close)
	return c
}

func TestCommand_followsTheLeader(t *testing.T) {
	want := raft.Result{Epoch: 7}
	leader := newNode(t, answer(http.StatusOK, want))
	first, second := newNode(t, names(leader.ID)), newNode(t, names(leader.ID))
	c := clientOf(t, first, second, leader)
	for range 3 {
		got, err := c.Command(t.Context(), raft.Command{})
		require.NoError(t, err)
		require.Equal(t, want.Epoch, got.Epoch)
	}
	require.EqualValues(t, 1, first.asked.Load(), "the first one is asked once, then the leader directly")
	require.Zero(t, second.asked.Load())
	require.EqualValues(t, 3, leader.asked.Load())
}

// A node that was away, or is new, may be told of coordinators none of which leads now. It is only told of the others
// once it is registered, which the leader does.
func TestCommand_findsALeaderItWasNotToldOf(t *testing.T) {
	leader := newNode(t, answer(http.StatusOK, raft.Result{Epoch: 7}))
	first, second := newNode(t, introduces(leader.Peer)), newNode(t, introduces(leader.Peer))
	c := clientOf(t, first, second)
	for range 3 {
		got, err := c.Command(t.Context(), raft.Command{})
		require.NoError(t, err)
		require.EqualValues(t, 7, got.Epoch)
	}
	require.EqualValues(t, 3, leader.asked.Load())
	require.EqualValues(t, 1, first.asked.Load()+second.asked.Load())
}

func TestWatch_findsALeaderItWasNotToldOf(t *testing.T) {
	leader := newNode(t, answer(http.StatusOK, peer.Assignment{Revision: 8}))
	first := newNode(t, introduces(leader.Peer))
	a, err := clientOf(t, first).Assignment(t.Context(), volume.NewNodeID(), 0)
	require.NoError(t, err)
	require.EqualValues(t, 8, a.Revision)
}

// The leader that heartbeats name is found, too; and one that is gone is no hindrance.
func TestCommand_aLeaderThatIsGone(t *testing.T) {
	gone := newNode(t, nil)
	leader := newNode(t, answer(http.StatusOK, raft.Result{Epoch: 7}))
	first := newNode(t, answer(http.StatusOK, peer.HeartbeatReply{Leader: gone.ID, LeaderAPI: "127.0.0.1:1"}))
	c := clientOf(t, first)
	_, err := c.Heartbeat(t.Context(), peer.Heartbeat{})
	require.NoError(t, err)
	next := introduces(leader.Peer)
	first.answer.Store(&next)
	got, err := c.Command(t.Context(), raft.Command{})
	require.NoError(t, err)
	require.EqualValues(t, 7, got.Epoch)
}

// Whoever leads coordinators of before a restore is not asked, neither named by one of them nor known from before.
func TestCommand_theLeaderOfBeforeARestoreIsNotAsked(t *testing.T) {
	before := peer.Lineage{Incarnation: volume.NewClusterID()}
	now := peer.Lineage{Incarnation: volume.NewClusterID(), Generation: 1}
	outdated := newNode(t, answer(http.StatusOK, raft.Result{Epoch: 7}))
	naming := func(l peer.Lineage, leader peer.Peer) http.HandlerFunc {
		return answer(http.StatusMisdirectedRequest,
			peer.HeartbeatReply{Leader: leader.ID, LeaderAPI: leader.API, Lineage: l})
	}
	first := newNode(t, naming(before, outdated.Peer))
	leader := newNode(t, answer(http.StatusOK, raft.Result{Epoch: 9}))
	second := newNode(t, naming(now, leader.Peer))
	c := clientOf(t, second, first)
	got, err := c.Command(t.Context(), raft.Command{})
	require.NoError(t, err)
	require.EqualValues(t, 9, got.Epoch)
	gone := naming(now, peer.Peer{})
	second.answer.Store(&gone)
	leader.answer.Store(first.answer.Load()) // it leads no more, and whoever it names is of before
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = c.Command(ctx, raft.Command{})
	require.ErrorIs(t, err, peer.ErrNoLeader)
	require.Zero(t, outdated.asked.Load())
}

func TestCommand_carriesTheRefusal(t *testing.T) {
	refused := raft.Result{Err: &raft.Refusal{Code: raft.CodeFenced, Message: "old"}}
	c := clientOf(t, newNode(t, answer(http.StatusOK, refused)))
	r, err := c.Command(t.Context(), raft.Command{})
	require.NoError(t, err)
	require.Equal(t, raft.CodeFenced, r.Err.Code)
}

func TestCommand_waitsForALeader(t *testing.T) {
	var asked atomic.Int64
	n := newNode(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 4 {
			answer(http.StatusServiceUnavailable, nil)(w, r)
			return
		}
		answer(http.StatusOK, raft.Result{Epoch: 1})(w, r)
	})
	r, err := clientOf(t, n).Command(t.Context(), raft.Command{})
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Epoch)
}

func TestCommand_withoutALeaderTheOutcomeIsUnknown(t *testing.T) {
	c := clientOf(t, newNode(t, names(volume.NodeID{})), newNode(t, answer(http.StatusServiceUnavailable, nil)))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := c.Command(ctx, raft.Command{})
	require.ErrorIs(t, err, peer.ErrNoLeader)
}

func TestCommand_refusedCallIsNotRepeated(t *testing.T) {
	n := newNode(t, answer(http.StatusForbidden, "not yours"))
	_, err := clientOf(t, n).Command(t.Context(), raft.Command{})
	require.ErrorContains(t, err, "not yours")
	require.NotErrorIs(t, err, peer.ErrNoLeader)
	require.EqualValues(t, 1, n.asked.Load())
}

// A coordinator that takes connections but never answers, as a paused one does, must not keep a
// command from the one that leads.
func TestCommand_pausedLeader(t *testing.T) {
	paused := newNode(t, silent)
	leader := newNode(t, answer(http.StatusOK, raft.Result{Epoch: 3}))
	r, err := clientOf(t, paused, leader).Command(t.Context(), raft.Command{})
	require.NoError(t, err)
	require.EqualValues(t, 3, r.Epoch)
}

// A paused leader is not waited for: the other one is asked long before the first attempt would end.
func TestCommand_doesNotWaitForAPausedLeader(t *testing.T) {
	leader := newNode(t, answer(http.StatusOK, raft.Result{Epoch: 3}))
	follower := newNode(t, names(leader.ID))
	given := make(chan struct{})
	paused := newNode(t, func(w http.ResponseWriter, r *http.Request) {
		silent(w, r)
		close(given)
	})
	r, err := clientOf(t, paused, follower, leader).Command(t.Context(), raft.Command{})
	require.NoError(t, err)
	require.EqualValues(t, 3, r.Epoch)
	<-given // the attempt ended with the command, not by its own time limit: that is longer than this
	require.EqualValues(t, 1, follower.asked.Load())
}

// A leader that takes its time is asked once, however often the others say that they do not lead.
func TestCommand_doesNotGiveASlowLeaderUp(t *testing.T) {
	var follower, leader *node
	asked := make(chan struct{}, 100)
	follower = newNode(t, func(w http.ResponseWriter, r *http.Request) {
		names(leader.ID)(w, r)
		asked <- struct{}{}
	})
	leader = newNode(t, func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			<-asked
		}
		answer(http.StatusOK, raft.Result{Epoch: 3})(w, r)
	})
	r, err := clientOf(t, leader, follower).Command(t.Context(), raft.Command{})
	require.NoError(t, err)
	require.EqualValues(t, 3, r.Epoch)
	require.EqualValues(t, 1, leader.asked.Load())
}

func TestHeartbeat_reachesAll(t *testing.T) {
	leader := volume.NewNodeID()
	var seen [3]peer.Heartbeat
	var nodes []*node
	for i := range seen {
		nodes = append(nodes, newNode(t, func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewDecoder(r.Body).Decode(&seen[i])
			answer(http.StatusOK, peer.HeartbeatReply{Leader: leader, Revision: uint64(i)})(w, r)
		}))
	}
	c := clientOf(t, nodes...)
	require.Eventually(t, func() bool { // an answer that comes late is not waited for
		replies, err := c.Heartbeat(t.Context(), peer.Heartbeat{Seq: 9})
		return err == nil && len(replies) == 3
	}, 5*time.Second, 10*time.Millisecond)
	for _, h := range seen {
		require.Equal(t, peer.Heartbeat{Version: peer.Version, Seq: 9}, h)
	}
}

func TestHeartbeat_oneAnswerSuffices(t *testing.T) {
	nodes := []*node{newNode(t, answer(500, nil)), newNode(t, answer(200, peer.HeartbeatReply{})), newNode(t, silent)}
	c := clientOf(t, nodes...)
	require.Eventually(t, func() bool {
		replies, err := c.EngineHeartbeat(t.Context(), peer.EngineHeartbeat{})
		return err == nil && len(replies) == 1
	}, 5*time.Second, 10*time.Millisecond)
	_, err := clientOf(t, nodes[0]).EngineHeartbeat(t.Context(), peer.EngineHeartbeat{})
	require.ErrorContains(t, err, "no coordinator took the heartbeat")
}

func TestTicket(t *testing.T) {
	v, a := volume.NewID(), volume.NewAttachID()
	n := newNode(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != peer.PathTicket || q.Get("volume") != v.String() || q.Get("attach") != a.String() ||
			q.Get("after") != "4" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer(http.StatusOK, peer.Ticket{Revision: 5, Volume: v, Layout: volume.Mirror(2)})(w, r)
	})
	c := clientOf(t, n)
	ticket, err := c.Ticket(t.Context(), v, a, 4)
	require.NoError(t, err)
	require.EqualValues(t, 5, ticket.Revision)
	gone := answer(http.StatusGone, nil)
	n.answer.Store(&gone)
	_, err = c.Ticket(t.Context(), v, a, 5)
	require.ErrorIs(t, err, peer.ErrSuperseded)
}

// A watch that a paused coordinator holds is taken to the new leader as soon as one is heard of.
func TestWatch_leavesAPausedLeader(t *testing.T) {
	paused := newNode(t, nil)
	leader := newNode(t, nil)
	old := http.HandlerFunc(silent)
	paused.answer.Store(&old)
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == peer.PathHeartbeat {
			answer(http.StatusOK, peer.HeartbeatReply{Leader: leader.ID})(w, r)
			return
		}
		answer(http.StatusOK, peer.Assignment{Revision: 8})(w, r)
	})
	leader.answer.Store(&serve)
	c := clientOf(t, paused, leader)
	result := make(chan error, 1)
	go func() {
		a, err := c.Assignment(context.Background(), volume.NewNodeID(), 0)
		if err == nil && a.Revision != 8 {
			err = context.Canceled
		}
		result <- err
	}()
	require.Eventually(t, func() bool { return paused.asked.Load() == 1 }, 5*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { // one that nobody answers in time is followed by the next
		_, err := c.Heartbeat(t.Context(), peer.Heartbeat{})
		return err == nil
	}, 5*time.Second, 10*time.Millisecond)
	select {
	case err := <-result:
		require.NoError(t, err)
	case <-time.After(peer.WatchWait / 2):
		t.Fatal("the watch stayed with the paused coordinator")
	}
}

func TestSetPeers(t *testing.T) {
	old := newNode(t, answer(http.StatusServiceUnavailable, nil))
	next := newNode(t, answer(http.StatusOK, raft.Result{}))
	c := clientOf(t, old)
	c.SetPeers(nil)
	c.SetPeers([]peer.Peer{next.Peer})
	_, err := c.Command(t.Context(), raft.Command{})
	require.NoError(t, err)
	require.Zero(t, old.asked.Load())
}

func TestAnswerThatIsNoJSON(t *testing.T) {
	n := newNode(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := clientOf(t, n).Command(ctx, raft.Command{})
	require.ErrorIs(t, err, peer.ErrNoLeader, "whether it was committed is unknown")
}
