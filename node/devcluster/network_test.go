package devcluster_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/node/devnet"
	"github.com/holdfast-storage/holdfast/node/host"
)

// awaitState waits until the cluster thinks so of a node.
func awaitState(t *testing.T, c *devcluster.Cluster, name, want string) {
	t.Helper()
	client, err := api.NewClient(api.ClientOptions{Endpoints: c.API()})
	require.NoError(t, err)
	defer client.Close()
	require.Eventuallyf(t, func() bool {
		all, err := client.Nodes(t.Context())
		for _, n := range all {
			if err == nil && n.Name == name {
				return string(n.State) == want
			}
		}
		return false
	}, patience, 50*time.Millisecond, "%s is not %s", name, want)
}

func TestNetwork_ofNamespaces(t *testing.T) {
	if err := devnet.Able(); err != nil {
		t.Skip(err)
	}
	c := createOn(t, devcluster.Namespaces, devcluster.DefaultNodes(3))
	require.NoError(t, c.Up(within(t)))
	s, err := c.NetworkStatus()
	require.NoError(t, err)
	require.Len(t, s.Ports, 3)
	require.Empty(t, s.Links)

	require.NoError(t, c.Impair(devcluster.Links{Node: "n3", OneWay: true}, devnet.Rules{Cut: true}))
	s, err = c.NetworkStatus()
	require.NoError(t, err)
	require.Len(t, s.Links, 2)
	awaitState(t, c, "n3", "down")
	require.Equal(t, devcluster.RunUp, state(t, c, "n3").State, "it runs, and is not heard")
	require.NoError(t, c.Heal("n3"))
	awaitState(t, c, "n3", "up")
	require.NoError(t, c.Impair(devcluster.Links{Node: "n1", From: "n2"}, devnet.Rules{Delay: time.Millisecond}))
	s, err = c.NetworkStatus()
	require.NoError(t, err)
	require.Len(t, s.Links, 2)

	require.NoError(t, c.Kill("n2"))
	s, err = c.NetworkStatus()
	require.NoError(t, err)
	require.Len(t, s.Ports, 2, "a machine without power is on no network")
	require.NoError(t, c.Start(within(t), "n2"))

	links := s.Links
	require.Len(t, links, 2)
	// Without its switch nobody hears anybody; a new one finds the nodes in their namespaces, and what was cut.
	all, err := proc.FindEnv(host.EnvRunDir, filepath.Join(c.Dir(), "switch"))
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.NoError(t, proc.Signal(all, 9))
	before := state(t, c, "n1").PID
	require.NoError(t, c.Up(within(t)))
	require.Equal(t, before, state(t, c, "n1").PID)
	s, err = c.NetworkStatus()
	require.NoError(t, err)
	require.Len(t, s.Ports, 3)
	require.Equal(t, links, s.Links)

	require.NoError(t, c.Down(false))
	left, err := proc.FindEnvBelow(host.EnvRunDir, c.Dir())
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestNetwork_refusals(t *testing.T) {
	c := create(t, devcluster.DefaultNodes(1))
	require.ErrorIs(t, c.Impair(devcluster.Links{Node: "n1"}, devnet.Rules{Cut: true}), devcluster.ErrLoopback)
	require.ErrorIs(t, c.Heal(""), devcluster.ErrLoopback)
	require.ErrorContains(t, c.Heal("n9"), "n1")
	dir := c.Dir()
	c.Close()
	_, err := devcluster.Open(devcluster.Options{Dir: dir, Network: devcluster.Namespaces})
	require.ErrorContains(t, err, "another --dir")
	again, err := devcluster.Open(devcluster.Options{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Down(true)); again.Close() })
	_, err = devcluster.ParseNetwork("token-ring")
	require.ErrorContains(t, err, "netns")
}
