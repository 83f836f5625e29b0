package node_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/metrics"
)

// One endpoint of a node tells of all its roles.
func TestServe_metricsOfAllRoles(t *testing.T) {
	path := alone(t)
	c := load(t, path)
	stop := serve(t, path)
	awaitNodes(t, c.APISocket, 1)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (
		net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.APISocket)
	}, DisableKeepAlives: true}}
	res, err := client.Get("http://node" + metrics.PathMetrics)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, string(text))
	for _, line := range []string{"holdfast_coordinator_leader 1", `holdfast_node_up{node="`,
		"holdfast_storage_store_free_bytes{store=", "holdfast_target_connections 0", "holdfast_build_info{build=",
		`holdfast_coordinator_commands_total{command="register_node",outcome="accepted"}`, "process_open_fds",
		"holdfast_health_status 0"} {
		require.Contains(t, string(text), "\n"+line)
	}
	require.NoError(t, stop())
}
