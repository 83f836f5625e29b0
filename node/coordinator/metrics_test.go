package coordinator

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/metrics/metricstest"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

func TestMetrics(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		w.domain("web", "h1", "h2")
		_, err := w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		follower := w.id("n2")
		require.Equal(t, http.StatusForbidden, w.call(follower, http.MethodPost, pathHeard,
			heardReport{Version: peer.Version, Node: follower}, nil), "it is no coordinator")
		require.Equal(t, http.StatusOK, w.call(w.id("n1"), http.MethodPost, pathHeard,
			heardReport{Version: peer.Version, Node: w.id("n1"), Revision: 1}, nil))
		beat := peer.EngineHeartbeat{Version: peer.Version, Node: w.id("h2"), Engine: peer.EngineStatus{
			AttachID: volume.NewAttachID(), State: peer.EngineServing}}
		require.Equal(t, http.StatusOK, w.call(w.id("h2"), http.MethodPost, peer.PathEngineHeartbeat, beat, nil))
		state, _ := w.raft.State()
		leg := state.VolumeByName("v1").Legs[1]
		w.machines["h1"].kill()
		w.machines[state.NodeName(leg.Node)].kill()
		pass(10 * time.Second)
		_, err = w.c.commit(t.Context(), raft.Command{AddImage: &raft.AddImage{Name: "debian", SizeBytes: 1,
			Digest: volume.DigestOf([32]byte{}), Holder: w.id("n1")}})
		require.NoError(t, err)
		registry := metricstest.Registry(t, w.c.Collectors()...)
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP holdfast_coordinator_leader 1 if this coordinator leads.
# TYPE holdfast_coordinator_leader gauge
holdfast_coordinator_leader 1
# HELP holdfast_node_up 1 if the node counts as alive, 0 if not. Only the leader tells it.
# TYPE holdfast_node_up gauge
holdfast_node_up{node="h1"} 0
holdfast_node_up{node="h2"} 1
holdfast_node_up{node="n1"} 1
holdfast_node_up{node="n2"} 0
holdfast_node_up{node="n3"} 1
# HELP holdfast_health_status 0 healthy, 1 degraded, 2 at risk, 3 down, 4 no quorum. Of the leader.
# TYPE holdfast_health_status gauge
holdfast_health_status 2
# HELP holdfast_volume_health 0 healthy, 1 degraded, 2 at risk, 3 down. Only the leader tells it.
# TYPE holdfast_volume_health gauge
holdfast_volume_health{volume="v1"} 2
`), "holdfast_coordinator_leader", "holdfast_node_up", "holdfast_health_status", "holdfast_volume_health"))
		require.Equal(t, 1.0, testutil.ToFloat64(w.c.meters.events.WithLabelValues("domain_moved", "warning")),
			"the failover")
		metricstest.Golden(t, registry)

		w.raft.lead(false, volume.NodeID{})
		pass(time.Second)
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(""), "holdfast_node_up",
			"holdfast_health_status"), "a follower does not tell what only the leader knows")
	})
}
