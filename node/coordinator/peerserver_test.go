package coordinator

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

func (w *world) id(name string) volume.NodeID { return w.machines[name].node.ID }

// attached makes v1 and attaches it to h1; it returns the state of the volume.
func (w *world) attached() *raft.Volume {
	w.t.Helper()
	w.create("v1")
	_, err := w.api.AttachVolume(w.t.Context(), "v1", api.AttachVolume{Host: "h1"})
	require.NoError(w.t, err)
	state, _ := w.raft.State()
	return state.VolumeByName("v1")
}

// TestPeer_nobodySpeaksForAnother is the table of who may say what.
func TestPeer_nobodySpeaksForAnother(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		v := w.attached()
		leg := v.Legs[0] // on n1
		removal := raft.Command{RemoveLeg: &raft.RemoveLeg{Volume: v.ID, Epoch: v.Epoch, Leg: leg.ID,
			Reason: "a test"}}
		cases := map[string]struct {
			from   string
			path   string
			body   any
			status int
		}{
			"a heartbeat of another": {"n2", peer.PathHeartbeat,
				peer.Heartbeat{Version: peer.Version, Node: w.id("n3"), Start: 1, Seq: 1},
				http.StatusForbidden},
			"an engine heartbeat of another": {"n2", peer.PathEngineHeartbeat,
				peer.EngineHeartbeat{Version: peer.Version, Node: w.id("h1")}, http.StatusForbidden},
			"another version": {"n2", peer.PathHeartbeat, peer.Heartbeat{Version: 99, Node: w.id("n2")},
				http.StatusBadRequest},
			"no JSON": {"n2", peer.PathHeartbeat, "x", http.StatusBadRequest},
			"whom a storage node hears": {"n2", pathHeard,
				heardReport{Version: peer.Version, Node: w.id("n2")}, http.StatusForbidden},
			"registering another": {"n2", peer.PathRegister, raft.RegisterNode{Node: w.machines["n3"].node},
				http.StatusForbidden},
			"an operator's command": {"h1", peer.PathCommand,
				raft.Command{DeleteVolume: &raft.DeleteVolume{Volume: v.ID}}, http.StatusForbidden},
			"another host's attachment": {"h2", peer.PathCommand, removal, http.StatusForbidden},
			"another node's leg": {"n2", peer.PathCommand,
				raft.Command{LegLost: &raft.LegLost{Volume: v.ID, Leg: leg.ID}}, http.StatusForbidden},
			"the leg's own node": {"n1", peer.PathCommand,
				raft.Command{LegProvisioned: &raft.LegProvisioned{Volume: v.ID, Leg: leg.ID}}, http.StatusOK},
			"the host of the attachment": {"h1", peer.PathCommand, removal, http.StatusOK},
		}
		for name, c := range cases {
			require.Equal(t, c.status, w.call(w.id(c.from), http.MethodPost, c.path, c.body, nil), name)
		}
		assignment := peer.PathAssignment + "?node=" + w.id("h1").String()
		require.Equal(t, http.StatusForbidden, w.call(w.id("h2"), http.MethodGet, assignment, nil, nil),
			"its tickets hold secrets")
		require.Equal(t, http.StatusBadRequest,
			w.call(w.id("h2"), http.MethodGet, peer.PathAssignment, nil, nil))
		ticket := peer.PathTicket + "?volume=" + v.ID.String() + "&attach=" + v.Attach.ID.String()
		require.Equal(t, http.StatusGone, w.call(w.id("h2"), http.MethodGet, ticket, nil, nil))
		require.Equal(t, http.StatusOK, w.call(w.id("h1"), http.MethodGet, ticket, nil, nil))
	})
}

// TestPeer_activateWaitsByTheLeadersClock: whatever a host says, the wait of 1.25 T_read is measured
// here, from the first fence of a member of the in-sync list.
func TestPeer_activateWaitsByTheLeadersClock(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.attached()
		w.machines["h1"].kill()
		w.machines["n2"].kill()
		// No heartbeat is judged here: the takeover is an operator's, at once.
		begun := time.Now()
		a, err := w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h2", Takeover: true})
		require.NoError(t, err)
		require.EqualValues(t, 2, a.Epoch)
		require.GreaterOrEqual(t, time.Since(begun), raft.TRead+raft.TRead/4)
		require.Less(t, time.Since(begun), 2*raft.TRead, "not much longer either")
	})
}

// TestPeer_assignmentIsWatched: a watch answers when something changes for this node, and not when
// something changes for others.
func TestPeer_assignmentIsWatched(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		store := volume.NewStoreID()
		observer := volume.NewNodeID() // no machine of the world, which would watch, too
		_, _, err := w.raft.Apply(t.Context(), raft.Command{RegisterNode: &raft.RegisterNode{Node: raft.Node{
			ID: observer, Name: "observer", Roles: []raft.Role{raft.RoleStorage}, API: "observer:1",
			Portal: "observer:3", ChapKey: volume.NodeKey{1}, Stores: []raft.Store{{ID: store, Name: "disk1"}}}}})
		require.NoError(t, err)
		path := peer.PathAssignment + "?node=" + observer.String()
		var first peer.Assignment
		require.Equal(t, http.StatusOK, w.call(observer, http.MethodGet, path, nil, &first))
		require.True(t, first.Registered)
		require.NotZero(t, first.Revision)

		begun := time.Now()
		later := path + "&after=" + uintText(first.Revision+1000)
		require.Equal(t, http.StatusOK, w.call(observer, http.MethodGet, later, nil, &first))
		require.Zero(t, time.Since(begun), "a revision of before a restore is nothing to wait for")

		var second peer.Assignment
		answered := make(chan struct{})
		begun = time.Now()
		go func() {
			defer close(answered)
			w.call(observer, http.MethodGet, path+"&after="+uintText(first.Revision), nil, &second)
		}()
		w.create("v1") // on n1 and n2: nothing for n3
		<-answered
		require.Equal(t, peer.WatchWait, time.Since(begun))
		require.Greater(t, second.Revision, first.Revision)
		require.Empty(t, second.Legs)

		begun = time.Now()
		answered = make(chan struct{})
		go func() {
			defer close(answered)
			w.call(observer, http.MethodGet, path+"&after="+uintText(second.Revision), nil, &second)
		}()
		_, _, err = w.raft.Apply(t.Context(), raft.Command{CreateVolume: &raft.CreateVolume{
			ID: volume.NewID(), Name: "v2", SizeBytes: 1 << 20, Layout: volume.Mirror(1), DataGen: volume.NewUUID(),
			Legs: []raft.NewLeg{{ID: volume.NewLegID(), Node: observer, Store: store}}}})
		require.NoError(t, err)
		<-answered
		require.Less(t, time.Since(begun), time.Second)
		require.Len(t, second.Legs, 1)
	})
}

func uintText(n uint64) string {
	text, _ := json.Marshal(n)
	return string(text)
}

// TestPeer_ticketIsGoneOnceSuperseded: an engine hears of a takeover by its watch.
func TestPeer_ticketIsGoneOnceSuperseded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		v := w.attached()
		path := peer.PathTicket + "?volume=" + v.ID.String() + "&attach=" + v.Attach.ID.String()
		var ticket peer.Ticket
		require.Equal(t, http.StatusOK, w.call(w.id("h1"), http.MethodGet, path, nil, &ticket))
		require.EqualValues(t, 1, ticket.Epoch)
		status := make(chan int, 1)
		go func() {
			status <- w.call(w.id("h1"), http.MethodGet, path+"&after="+uintText(ticket.Revision), nil, nil)
		}()
		_, err := w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h2", Takeover: true})
		require.NoError(t, err)
		require.Equal(t, http.StatusGone, <-status)
	})
}

// TestPeer_followersNameTheLeader: commands and watches are for the leader, heartbeats for everybody.
func TestPeer_followersNameTheLeader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		leader := w.id("n2")
		for _, m := range w.machines {
			m.cancel()
		}
		pass(time.Second)
		w.raft.lead(false, leader)
		beat := peer.Heartbeat{Version: peer.Version, Node: w.id("n3"), Start: 9, Seq: 1}
		var reply peer.HeartbeatReply
		require.Equal(t, http.StatusOK, w.call(w.id("n3"), http.MethodPost, peer.PathHeartbeat, beat, &reply))
		require.Equal(t, leader, reply.Leader)
		require.Equal(t, w.machines["n2"].node.API, reply.LeaderAPI, "who asks may not have been told of it")
		require.Equal(t, http.StatusMisdirectedRequest,
			w.call(w.id("n3"), http.MethodPost, peer.PathRegister,
				raft.RegisterNode{Node: w.machines["n3"].node}, nil))
		require.Equal(t, http.StatusMisdirectedRequest,
			w.call(w.id("n3"), http.MethodGet, peer.PathAssignment+"?node="+w.id("n3").String(), nil, nil))
	})
}

// TestPeer_engineKeepsItsHostAlive: while the daemon is restarted, its engines speak for the host.
func TestPeer_engineKeepsItsHostAlive(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		w.domain("web", "h1", "h2")
		_, err := w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		state, _ := w.raft.State()
		v := state.VolumeByName("v1")
		w.machines["h1"].kill()
		beat := peer.EngineHeartbeat{Version: peer.Version, Node: w.id("h1"), Engine: peer.EngineStatus{
			Volume: v.ID, Epoch: v.Epoch, AttachID: v.Attach.ID, PID: 44, State: peer.EngineServing}}
		for range 40 {
			require.Equal(t, http.StatusOK, w.call(w.id("h1"), http.MethodPost, peer.PathEngineHeartbeat,
				beat, nil))
			pass(500 * time.Millisecond)
		}
		d, err := w.api.Domain(t.Context(), "web")
		require.NoError(t, err)
		require.Equal(t, "h1", d.Host, "20 s without a daemon")
		pass(5 * time.Second)
		d, err = w.api.Domain(t.Context(), "web")
		require.NoError(t, err)
		require.Equal(t, "h2", d.Host, "and failed over once the engine is silent, too")
	})
}

// TestPublic_withoutALeader: health is answered without a leader; all else says that there is none.
func TestPublic_withoutALeader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.raft.lead(false, volume.NodeID{})
		ask := func(path string) *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			asRoot(w.c.APIHandler()).ServeHTTP(rec, httptest.NewRequestWithContext(context.Background(),
				http.MethodGet, path, nil))
			return rec
		}
		require.Equal(t, http.StatusOK, ask(api.PathPing).Code)
		health := ask("/v1/health")
		require.Equal(t, http.StatusOK, health.Code)
		require.True(t, strings.Contains(health.Body.String(), string(api.NoQuorum)))
		require.Equal(t, http.StatusServiceUnavailable, ask("/v1/volumes").Code)
	})
}
