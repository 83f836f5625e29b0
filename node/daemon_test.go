package node_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

const patience = 30 * time.Second

// files makes the files of a cluster whose daemons run in this process, and returns the nodes'
// configurations.
func files(t *testing.T, specs ...devcluster.NodeSpec) []string {
	t.Helper()
	c, err := devcluster.Create(devcluster.Options{Dir: filepath.Join(t.TempDir(), "c")}, specs)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Down(true))
		c.Close()
	})
	var paths []string
	for _, n := range c.Nodes() {
		paths = append(paths, filepath.Join(c.Dir(), n.Name, "node.yaml"))
	}
	return paths
}

func alone(t *testing.T) string {
	t.Helper()
	return files(t, devcluster.DefaultNodes(1)...)[0]
}

// serve runs a daemon until the returned function is called, which returns what Serve did.
func serve(t *testing.T, path string) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- node.Serve(ctx, path, nil) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return context.DeadlineExceeded
		}
	})
	t.Cleanup(func() { require.NoError(t, stop()) })
	return stop
}

func load(t *testing.T, path string) *config.Config {
	t.Helper()
	c, err := config.Load(path)
	require.NoError(t, err)
	return c
}

func save(t *testing.T, path string, c *config.Config) {
	t.Helper()
	text, err := c.Marshal()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

// awaitNodes waits until the API on a socket shows so many nodes that are up, under a leader.
func awaitNodes(t *testing.T, socket string, want int) {
	t.Helper()
	client, err := api.NewClient(api.ClientOptions{Endpoints: "unix://" + socket})
	require.NoError(t, err)
	defer client.Close()
	require.Eventually(t, func() bool {
		nodes, err := client.Nodes(t.Context())
		up, leads := 0, false
		for _, n := range nodes {
			leads = leads || n.Leader
			if n.State == api.NodeUp {
				up++
			}
		}
		return err == nil && up == want && leads
	}, patience, 20*time.Millisecond)
}

func TestServe_formsAClusterAndComesBack(t *testing.T) {
	path := alone(t)
	c := load(t, path)
	stop := serve(t, path)
	awaitNodes(t, c.APISocket, 1)
	info, err := os.Stat(c.APISocket)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	info, err = os.Stat(filepath.Join(c.DataDir, "chap.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, stop())

	key, err := os.ReadFile(filepath.Join(c.DataDir, "chap.json"))
	require.NoError(t, err)
	stop = serve(t, path)
	awaitNodes(t, c.APISocket, 1)
	require.NoError(t, stop())
	again, err := os.ReadFile(filepath.Join(c.DataDir, "chap.json"))
	require.NoError(t, err)
	require.Equal(t, key, again, "the key is made once")
}

func TestServe_nodeThatIsNoCoordinatorPassesCallsOn(t *testing.T) {
	paths := files(t,
		devcluster.NodeSpec{Name: "n1", Roles: []raft.Role{raft.RoleCoordinator}},
		devcluster.NodeSpec{Name: "h1", Roles: []raft.Role{raft.RoleHost}})
	for _, p := range paths {
		serve(t, p)
	}
	awaitNodes(t, load(t, paths[1]).APISocket, 2)
}

func TestServe_peersOnlyWithACertificate(t *testing.T) {
	path := alone(t)
	c := load(t, path)
	serve(t, path)
	awaitNodes(t, c.APISocket, 1)

	id, err := identity.Load(c.TLS)
	require.NoError(t, err)
	client := peer.NewClient(peer.ClientOptions{Peers: c.Peers(), TLS: id.ClientTLS()})
	defer client.Close()
	a, err := client.Assignment(t.Context(), c.ID, 0)
	require.NoError(t, err)
	require.True(t, a.Registered)
	_, err = client.Assignment(t.Context(), volume.NewNodeID(), 0)
	require.Error(t, err, "a node asks for itself only")

	bare := id.ClientTLS()
	bare.Certificates, bare.GetClientCertificate = nil, nil
	intruder := peer.NewClient(peer.ClientOptions{Peers: c.Peers(), TLS: bare})
	defer intruder.Close()
	_, err = intruder.Assignment(t.Context(), c.ID, 0)
	require.ErrorContains(t, err, "is for nodes of the cluster only")

	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.APISocket)
	}
	local := &http.Client{Transport: &http.Transport{DialContext: dial}}
	defer local.CloseIdleConnections()
	res, err := local.Get("http://node" + peer.PathAssignment + "?node=" + c.ID.String())
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.NotEqual(t, http.StatusOK, res.StatusCode, "secrets are not given out on the local socket")
}

func TestServe_refusals(t *testing.T) {
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer occupied.Close()
	other := load(t, alone(t))

	for name, test := range map[string]struct {
		spoil func(t *testing.T, c *config.Config)
		want  []string
	}{
		"API port in use": {func(_ *testing.T, c *config.Config) {
			c.Listen.API = occupied.Addr().String()
			c.Coordinators[0].API = c.Listen.API
		}, []string{"listen.api", "in use"}},
		"iSCSI port in use": {func(_ *testing.T, c *config.Config) {
			c.Listen.ISCSI = occupied.Addr().String()
		}, []string{"listen.iscsi", "in use"}},
		"raft port in use": {func(_ *testing.T, c *config.Config) {
			c.Listen.Raft = occupied.Addr().String()
			c.Coordinators[0].Raft = c.Listen.Raft
		}, []string{"listen.raft", "in use"}},
		"unreadable key": {func(t *testing.T, c *config.Config) { require.NoError(t, os.Remove(c.TLS.Key)) },
			[]string{"node.key"}},
		"another node's certificate": {func(_ *testing.T, c *config.Config) { c.TLS = other.TLS },
			[]string{"issue one"}},
		"another node's data": {func(t *testing.T, c *config.Config) {
			path := filepath.Join(c.DataDir, "node")
			require.NoError(t, os.WriteFile(path, []byte(other.ID.String()), 0o600))
		}, []string{"data_dir", other.ID.String()}},
		"damaged CHAP key": {func(t *testing.T, c *config.Config) {
			require.NoError(t, os.WriteFile(filepath.Join(c.DataDir, "chap.json"), []byte("{}"), 0o600))
		}, []string{"chap.json", "damaged"}},
		"damaged list of coordinators": {func(t *testing.T, c *config.Config) {
			require.NoError(t, os.WriteFile(filepath.Join(c.DataDir, "peers.json"), []byte("{"), 0o600))
		}, []string{"peers.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := alone(t)
			c := load(t, path)
			test.spoil(t, c)
			save(t, path, c)
			err := node.Serve(t.Context(), path, nil)
			require.ErrorContains(t, err, c.Name)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestServe_secondDaemonIsRefusedAndHarmsNothing(t *testing.T) {
	path := alone(t)
	c := load(t, path)
	serve(t, path)
	awaitNodes(t, c.APISocket, 1)
	require.ErrorContains(t, node.Serve(t.Context(), path, nil), "another daemon runs on it")
	awaitNodes(t, c.APISocket, 1)

	// Another node that is misconfigured to use the same socket.
	second := alone(t)
	wrong := load(t, second)
	wrong.APISocket = c.APISocket
	save(t, second, wrong)
	require.ErrorContains(t, node.Serve(t.Context(), second, nil), "api_socket")
	awaitNodes(t, c.APISocket, 1)
}
