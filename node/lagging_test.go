package node_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/enroll"
	"github.com/holdfast-storage/holdfast/node/identity"
)

// applied returns how far a coordinator's replica is, as its metrics have it; empty if they cannot be had.
func applied(t *testing.T, c *config.Config) string {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.APISocket)
	}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://node/metrics", nil)
	require.NoError(t, err)
	res, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return ""
	}
	line := regexp.MustCompile(`(?m)^holdfast_coordinator_applied_index (\S+)$`).FindSubmatch(text)
	if line == nil {
		return ""
	}
	return string(line[1])
}

// A voter was away while another node became a coordinator, took a vote over and came to lead. It knows of that one
// from nobody else, refuses it for a while, and then learns everything from it.
func TestRaftPort_aVoterThatWasAwayFollowsALeaderItNeverHeardOf(t *testing.T) {
	founder := machine(t, "n1")
	n1, err := enroll.Found("prod", founder, identity.DefaultLifetime)
	require.NoError(t, err)
	stop := serve(t, enroll.ConfigFile(founder.Dir))
	awaitNodes(t, n1.APISocket, 1)
	client := socketClient(t, n1)
	add := func(name string) (*config.Config, func() error) {
		c, _, err := enroll.Join(t.Context(), enroll.JoinOptions{Token: joinToken(t, client, time.Hour),
			Address: n1.Listen.API, Machine: machine(t, name), Patience: -1})
		require.NoError(t, err)
		return c, serve(t, enroll.ConfigFile(dirOf(c)))
	}
	_, stop2 := add("n2")
	n3, stop3 := add("n3")
	require.Eventually(t, func() bool {
		c, err := client.Cluster(t.Context())
		return err == nil && c.Coordinators == 3
	}, patience, 20*time.Millisecond)
	require.NoError(t, stop3())
	n4, _ := add("n4")
	awaitNodes(t, n1.APISocket, 3)
	require.Eventually(t, func() bool { // once n4 answers, it can take the vote
		return client.ReplaceNode(t.Context(), "n2", api.ReplaceNode{New: "n4"}, nil) == nil
	}, patience, 100*time.Millisecond)
	require.NoError(t, stop2())
	after := socketClient(t, n4)
	leader := func() string {
		nodes, _ := after.Nodes(t.Context())
		for _, n := range nodes {
			if n.Leader {
				return n.Name
			}
		}
		return ""
	}
	for leader() != "n4" {
		require.NoError(t, stop())
		stop = serve(t, enroll.ConfigFile(founder.Dir))
		require.Eventually(t, func() bool { return leader() != "" }, patience, 20*time.Millisecond)
	}
	serve(t, enroll.ConfigFile(dirOf(n3)))
	require.Eventually(t, func() bool {
		behind, ahead := applied(t, n3), applied(t, n4)
		return behind != "" && behind == ahead
	}, patience, 50*time.Millisecond)
}
