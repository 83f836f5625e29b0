package coordinator

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

func TestSplitBeat(t *testing.T) {
	h := peer.Heartbeat{Version: peer.Version, Node: volume.NewNodeID(), Start: 7, Seq: 41, PID: 3,
		Domains: []peer.DomainStatus{{Name: `"seq":1`}}}
	body, err := json.Marshal(h)
	require.NoError(t, err)
	before, after, seq, ok := splitBeat(body)
	require.True(t, ok, "the encoder writes the number before everything that varies")
	require.EqualValues(t, 41, seq)
	h.Seq = 1000
	again, err := json.Marshal(h)
	require.NoError(t, err)
	before2, after2, _, ok := splitBeat(again)
	require.True(t, ok)
	require.Equal(t, before, before2)
	require.Equal(t, after, after2)
	for _, odd := range []string{``, `{}`, `{"seq":`, `{"seq":"1"}`, `{"a":{"seq":1}}`, `{"a":[1],"seq":1}`,
		`{"seq":99999999999999999999}`} {
		_, _, _, ok := splitBeat([]byte(odd))
		require.False(t, ok, odd)
	}
}

// A heartbeat that says nothing new keeps its node alive; one that is late, or says something else, is looked
// at as ever.
func TestServeHeartbeat_theSameAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := volume.NewNodeID()
		_, _, err := w.raft.Apply(t.Context(), raft.Command{RegisterNode: &raft.RegisterNode{Node: raft.Node{ID: id,
			Name: "x1", API: "192.0.2.9:7000", Roles: []raft.Role{raft.RoleHost}}}})
		require.NoError(t, err)
		beat := func(start, seq uint64, pid int) int {
			return w.call(id, http.MethodPost, peer.PathHeartbeat, peer.Heartbeat{Version: peer.Version, Node: id,
				Start: start, Seq: seq, PID: pid}, nil)
		}
		fact := func() (f control.NodeFact) {
			w.c.mu.Lock()
			defer w.c.mu.Unlock()
			return *w.c.facts.Nodes[id]
		}
		require.Equal(t, http.StatusOK, beat(1, 1, 7))
		first := fact()
		pass(500 * time.Millisecond)
		require.Equal(t, http.StatusOK, beat(1, 2, 7))
		require.Equal(t, first.Heard.Add(500*time.Millisecond), fact().Heard)
		require.EqualValues(t, 2, fact().Seq)
		pass(500 * time.Millisecond)
		require.Equal(t, http.StatusOK, beat(1, 2, 7))
		require.Equal(t, first.Heard.Add(500*time.Millisecond), fact().Heard, "told twice")
		require.Equal(t, http.StatusOK, beat(1, 3, 8))
		require.Equal(t, 8, fact().PID)
		require.Equal(t, http.StatusOK, beat(2, 1, 8))
		require.EqualValues(t, 2, fact().Start, "another start")
		require.Equal(t, http.StatusOK, beat(1, 4, 8))
		require.EqualValues(t, 2, fact().Start, "of the start before")
	})
}

// TestHearSame_onlyWhatSaysTheSame: a heartbeat that differs in anything but its number is looked at, however little it
// differs and wherever.
func TestHearSame_onlyWhatSaysTheSame(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id, store, leg := volume.NewNodeID(), volume.NewStoreID(), volume.NewLegID()
		_, _, err := w.raft.Apply(t.Context(), raft.Command{RegisterNode: &raft.RegisterNode{Node: raft.Node{ID: id,
			Name: "x1", API: "192.0.2.9:7000", Roles: []raft.Role{raft.RoleHost}}}})
		require.NoError(t, err)
		seq := uint64(0)
		body := func(change func(*peer.Heartbeat)) []byte {
			h := peer.Heartbeat{Version: peer.Version, Node: id, Start: 5, PID: 7,
				Stores: []peer.StoreStatus{{ID: store, Name: "disk1", TotalBytes: 100, FreeBytes: 50,
					Legs: []peer.LegStatus{{ID: leg, State: peer.LegOK, FenceEpoch: 8}}}},
				Domains: []peer.DomainStatus{{Name: "d1", Run: 3, State: "running"}}, Knows: raft.VersionLatest}
			change(&h)
			if h.Seq == 0 {
				seq++
				h.Seq = seq
			}
			text, err := json.Marshal(h)
			require.NoError(t, err)
			return text
		}
		nothing := func(*peer.Heartbeat) {}
		decode := func() {
			text := body(nothing)
			var h peer.Heartbeat
			require.NoError(t, json.Unmarshal(text, &h))
			w.c.hearNode(h)
			require.True(t, w.c.keepBeat(h, text))
		}
		require.False(t, w.c.hearSame(id, body(nothing)), "there is none to compare it with")
		decode()
		require.True(t, w.c.hearSame(id, body(nothing)))
		for name, change := range map[string]func(*peer.Heartbeat){
			"the start":       func(h *peer.Heartbeat) { h.Start = 6 },
			"another node":    func(h *peer.Heartbeat) { h.Node.UUID[15] ^= 1 },
			"the version":     func(h *peer.Heartbeat) { h.Version++ },
			"the process":     func(h *peer.Heartbeat) { h.PID = 8 },
			"free space":      func(h *peer.Heartbeat) { h.Stores[0].FreeBytes = 51 },
			"a leg's state":   func(h *peer.Heartbeat) { h.Stores[0].Legs[0].State = peer.LegBad },
			"a leg's epoch":   func(h *peer.Heartbeat) { h.Stores[0].Legs[0].FenceEpoch = 9 },
			"a leg that went": func(h *peer.Heartbeat) { h.Stores[0].Legs = nil },
			"a domain's run":  func(h *peer.Heartbeat) { h.Domains[0].Run = 4 },
			"one domain more": func(h *peer.Heartbeat) { h.Domains = append(h.Domains, peer.DomainStatus{}) },
			"the last field":  func(h *peer.Heartbeat) { h.Knows-- },
			"the same number": func(h *peer.Heartbeat) { h.Seq = seq },
			"an older number": func(h *peer.Heartbeat) { h.Seq = 1 },
			"all that was said": func(h *peer.Heartbeat) {
				*h = peer.Heartbeat{Version: h.Version, Node: h.Node, Start: h.Start}
			},
		} {
			decode()
			require.Falsef(t, w.c.hearSame(id, body(change)), "%s differs", name)
			require.Truef(t, w.c.hearSame(id, body(nothing)), "the one before %s differed", name)
		}
		require.False(t, w.c.hearSame(w.machines["n1"].node.ID, body(nothing)), "said by another node")
		pass(beatFresh)
		require.False(t, w.c.hearSame(id, body(nothing)), "the words are old")
	})
}

// A heartbeat without news adds to a whole one of the same start and of nothing else; a coordinator that has none
// says so, and takes the node as alive.
func TestServeStill(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := volume.NewNodeID()
		_, _, err := w.raft.Apply(t.Context(), raft.Command{RegisterNode: &raft.RegisterNode{Node: raft.Node{ID: id,
			Name: "x1", API: "192.0.2.9:7000", Roles: []raft.Role{raft.RoleHost}}}})
		require.NoError(t, err)
		still := func(start, seq uint64) bool {
			var reply peer.HeartbeatReply
			require.Equal(t, http.StatusOK, w.call(id, http.MethodPost, peer.PathStill,
				peer.Still{Version: peer.Version, Node: id, Start: start, Seq: seq}, &reply))
			return reply.Keeps
		}
		whole := func(start, seq uint64, pid int) bool {
			var reply peer.HeartbeatReply
			require.Equal(t, http.StatusOK, w.call(id, http.MethodPost, peer.PathHeartbeat,
				peer.Heartbeat{Version: peer.Version, Node: id, Start: start, Seq: seq, PID: pid}, &reply))
			return reply.Keeps
		}
		fact := func() (f control.NodeFact) {
			w.c.mu.Lock()
			defer w.c.mu.Unlock()
			return *w.c.facts.Nodes[id]
		}
		require.False(t, still(1, 1), "nothing was said before")
		require.True(t, whole(1, 2, 7))
		first := fact()
		pass(500 * time.Millisecond)
		require.True(t, still(1, 3))
		require.Equal(t, first.Heard.Add(500*time.Millisecond), fact().Heard)
		require.Equal(t, 7, fact().PID)
		require.False(t, still(1, 3), "told twice")
		require.False(t, still(2, 1), "of another start")
		require.True(t, whole(2, 2, 8))
		require.False(t, still(1, 9), "of the start before")
		require.False(t, whole(1, 10, 7), "so late that it is no word any more")
		require.True(t, whole(2, 3, 8))
		require.Equal(t, 8, fact().PID)
		require.Equal(t, http.StatusForbidden, w.call(w.id("n2"), http.MethodPost, peer.PathStill,
			peer.Still{Version: peer.Version, Node: id, Start: 2, Seq: 4}, nil), "nobody speaks for another")
	})
}

// What came late is not what the next heartbeat is compared with.
func TestServeHeartbeat_lateOneIsNotKept(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := volume.NewNodeID()
		_, _, err := w.raft.Apply(t.Context(), raft.Command{RegisterNode: &raft.RegisterNode{Node: raft.Node{ID: id,
			Name: "x1", API: "192.0.2.9:7000", Roles: []raft.Role{raft.RoleHost}}}})
		require.NoError(t, err)
		for _, beat := range []peer.Heartbeat{{Seq: 2, PID: 8}, {Seq: 1, PID: 7}, {Seq: 3, PID: 7}} {
			beat.Version, beat.Node, beat.Start = peer.Version, id, 1
			require.Equal(t, http.StatusOK, w.call(id, http.MethodPost, peer.PathHeartbeat, beat, nil))
		}
		w.c.mu.Lock()
		defer w.c.mu.Unlock()
		require.Equal(t, 7, w.c.facts.Nodes[id].PID)
	})
}
