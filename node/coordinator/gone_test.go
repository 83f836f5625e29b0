package coordinator

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestGone_isSaidByTheLeaderAlone: others may not have heard of a volume yet.
func TestGone_isSaidByTheLeaderAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		state, _ := w.raft.State()
		there, deleted := state.VolumeByName("v1").ID, volume.NewID()
		asked := peer.Gone{Volumes: []volume.ID{there, deleted}}
		var answer peer.Gone
		host := w.machines["h1"].node.ID
		require.Equal(t, http.StatusOK, w.call(host, http.MethodPost, peer.PathGone, asked, &answer))
		require.Equal(t, []volume.ID{deleted}, answer.Volumes)
		require.Equal(t, http.StatusBadRequest, w.call(host, http.MethodPost, peer.PathGone,
			peer.Gone{Volumes: make([]volume.ID, peer.GoneMax+1)}, nil))
		w.raft.lead(false, volume.NewNodeID())
		require.Equal(t, http.StatusMisdirectedRequest, w.call(host, http.MethodPost, peer.PathGone, asked, nil))
	})
}

// A catalogue that is made anew from the legs does not say of what it lacks that it is gone.
func TestGone_nothingIsWhileTheLegsAreLookedFor(t *testing.T) {
	s := raft.NewState()
	id := volume.NewID()
	require.Equal(t, []volume.ID{id}, gone(s, []volume.ID{id}))
	s.Cluster.FromLegs = true
	require.Empty(t, gone(s, []volume.ID{id}))
}
