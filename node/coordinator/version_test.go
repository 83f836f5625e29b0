package coordinator

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// say lets a coordinator report what its release understands, until ctx ends.
func (w *world) say(ctx context.Context, id volume.NodeID, word control.VersionWord) {
	w.group.Go(func() {
		for ctx.Err() == nil && w.ctx.Err() == nil {
			_, revision := w.raft.State()
			w.c.takeHeard(heardReport{Node: id, Revision: revision, Versions: word})
			pass(500 * time.Millisecond)
		}
	})
}

// An operator raises the version when every coordinator understands it, and not before.
func TestUpgradeCluster(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n1, n2 := w.id("n1"), w.id("n2")
		w.raft.mu.Lock()
		w.raft.members = []raft.Member{{ID: n1}, {ID: n2}}
		w.raft.mu.Unlock()
		ctx, upgraded := context.WithCancel(t.Context())
		w.say(ctx, n2, control.VersionWord{})
		pass(3 * time.Second)
		s := service{w.c}
		_, err := s.UpgradeCluster(t.Context())
		require.ErrorContains(t, err, "n2")
		c, err := s.Cluster(t.Context())
		require.NoError(t, err)
		require.Equal(t, raft.VersionFirst, c.Version)
		require.Equal(t, []string{"n2"}, c.VersionWaitsFor)

		upgraded()
		w.say(t.Context(), n2, control.VersionWord{Knows: raft.VersionLatest, Born: 1})
		pass(3 * time.Second)
		c, err = s.Cluster(t.Context())
		require.NoError(t, err)
		require.Equal(t, raft.VersionFirst, c.Version, "it may still be put back")
		require.Equal(t, raft.VersionLatest, c.NextVersion)
		for range 2 {
			c, err = s.UpgradeCluster(t.Context())
			require.NoError(t, err)
			require.Equal(t, raft.VersionLatest, c.Version)
		}
	})
}

func TestPeer_anotherVersionIsRefusedWithBoth(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		require.Equal(t, http.StatusNotFound,
			w.call(w.id("n1"), http.MethodPost, "/peer/v2/heartbeat", struct{}{}, nil))
		require.Equal(t, http.StatusBadRequest, w.call(w.id("n1"), http.MethodPost, "/peer/v1/heartbeat",
			struct {
				Version int           `json:"version"`
				Node    volume.NodeID `json:"node"`
			}{2, w.id("n1")}, nil))
	})
}
