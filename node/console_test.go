package node_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/enroll"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
)

// The console of a guest is shown to coordinators, who know the role of whoever asks them, and to no other node.
func TestConsole_isForCoordinators(t *testing.T) {
	m := machine(t, "n1")
	m.Roles = []raft.Role{raft.RoleCoordinator, raft.RoleHost}
	first, err := enroll.Found("prod", m, identity.DefaultLifetime)
	require.NoError(t, err)
	serve(t, enroll.ConfigFile(m.Dir))
	awaitNodes(t, first.APISocket, 1)
	h := machine(t, "h1")
	h.Roles = []raft.Role{raft.RoleHost}
	host, _, err := enroll.Join(t.Context(), enroll.JoinOptions{Address: first.Listen.API, Machine: h, Patience: -1,
		Token: joinToken(t, socketClient(t, first), time.Hour)})
	require.NoError(t, err)
	serve(t, enroll.ConfigFile(h.Dir))
	awaitNodes(t, first.APISocket, 2)
	coordinator, err := identity.Load(first.TLS)
	require.NoError(t, err)
	other, err := identity.Load(host.TLS)
	require.NoError(t, err)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		code, text := ask(t, first, method, peer.PathConsole+"?domain=web1&session=s", other.ClientTLS())
		require.Equal(t, http.StatusForbidden, code, text)
		require.Contains(t, text, "for coordinators")
	}
	code, text := ask(t, host, http.MethodGet, peer.PathConsole+"?domain=web1&session=s", coordinator.ClientTLS())
	require.Equal(t, http.StatusOK, code, text)
	require.Contains(t, text, "no guest of domain web1 runs")
	code, text = ask(t, first, http.MethodGet, peer.PathConsole+"?domain=web1&session=s", coordinator.ClientTLS())
	require.Equal(t, http.StatusOK, code, "it may be its own host: %s", text)
}
