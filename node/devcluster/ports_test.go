package devcluster

import (
	"io"
	"net"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The nodes of a cluster are planned one after the other: what one has is not given to the next, though nobody
// listens there yet, and they stay together.
func TestFreePorts_differ(t *testing.T) {
	var own []string
	taken, blocks := map[string]bool{}, map[int]bool{}
	for range 3 * portBlock {
		ports, err := freePorts(3, own, allFree)
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
	_, err := freePorts(1, own, allFree)
	require.ErrorContains(t, err, "has them all")
}

// Another cluster, of which only one node runs, keeps the ports of all.
func TestFreePorts_keepAwayFromOtherClusters(t *testing.T) {
	ports, err := freePorts(3, nil, func(address string) (io.Closer, error) {
		if port := portOf(address); port%portBlock == 7 && port < endPort-portBlock {
			return nil, syscall.EADDRINUSE
		}
		return io.NopCloser(nil), nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{at(endPort - portBlock), at(endPort - portBlock + 1), at(endPort - portBlock + 2)}, ports)

	_, err = freePorts(3, nil, func(string) (io.Closer, error) { return nil, syscall.EADDRINUSE })
	require.ErrorIs(t, err, syscall.EADDRINUSE)
}

// allFree has nobody listen anywhere: to take the ports of this machine would disturb what else is tested on it.
func allFree(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
