package node_test

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/enroll"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
)

// A node that has not heard from a coordinator who left the cluster shows nothing of itself to other nodes: the one
// that asks may have been removed.
func TestEdge_whoHasHeardNothingShowsNothing(t *testing.T) {
	m := machine(t, "n1")
	first, err := enroll.Found("prod", m, identity.DefaultLifetime)
	require.NoError(t, err)
	stop := serve(t, enroll.ConfigFile(m.Dir))
	awaitNodes(t, first.APISocket, 1)
	h := machine(t, "h1")
	h.Roles = []raft.Role{raft.RoleHost}
	host, _, err := enroll.Join(t.Context(), enroll.JoinOptions{Address: first.Listen.API, Machine: h, Patience: -1,
		Token: joinToken(t, socketClient(t, first), time.Hour)})
	require.NoError(t, err)
	require.NoError(t, stop())
	serve(t, enroll.ConfigFile(h.Dir))
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", host.Listen.API)
		return err == nil && conn.Close() == nil
	}, patience, 10*time.Millisecond)
	other, err := identity.Load(first.TLS)
	require.NoError(t, err)
	self, err := identity.Load(host.TLS)
	require.NoError(t, err)
	for _, path := range []string{"/metrics", "/target/sessions"} {
		code, text := ask(t, host, http.MethodGet, path, other.ClientTLS())
		require.Equal(t, http.StatusForbidden, code, path)
		require.Contains(t, text, "has not heard yet", path)
	}
	code, text := ask(t, host, http.MethodGet, "/metrics", self.ClientTLS())
	require.Equal(t, http.StatusOK, code, text)
}
