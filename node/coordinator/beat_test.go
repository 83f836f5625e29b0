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
