package devcluster

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The nodes of a cluster are planned one after the other: what one has is not given to the next, though nobody
// listens there yet, and they stay together.
func TestFreePorts_differ(t *testing.T) {
	var own []string
	taken, blocks := map[string]bool{}, map[int]bool{}
	for range 3 * portBlock {
		ports, err := freePorts(3, own)
		require.NoError(t, err)
		require.Len(t, ports, 3)
		for _, p := range ports {
			require.False(t, taken[p])
			taken[p] = true
			blocks[(portOf(p)-firstPort)/portBlock] = true
		}
		own = append(own, ports...)
	}
	require.LessOrEqual(t, len(blocks), 3*portBlock/(portBlock/3)+1)

	own = nil
	for port := firstPort; port < endPort; port++ {
		own = append(own, at(port))
	}
	_, err := freePorts(1, own)
	require.ErrorContains(t, err, "has them all")
}

// Another cluster, of which only one node runs, keeps the ports of all.
func TestFreePorts_keepAwayFromOtherClusters(t *testing.T) {
	for port := firstPort + 7; port < endPort-portBlock; port += portBlock {
		if l, err := net.Listen("tcp", at(port)); err == nil { // or somebody else does
			t.Cleanup(func() { require.NoError(t, l.Close()) })
		}
	}
	ports, err := freePorts(3, nil)
	for _, p := range ports { // none, should somebody be in the only block that is left
		require.GreaterOrEqual(t, portOf(p), endPort-portBlock)
	}
	require.True(t, len(ports) == 3 || err != nil)
}

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
