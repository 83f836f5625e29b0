package devcluster

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The nodes of a cluster are planned one after the other: what one has is not given to the next, though nobody
// listens there yet.
func TestFreePorts_differ(t *testing.T) {
	taken := map[string]bool{}
	for range 200 {
		ports, err := freePorts(3, func(address string) bool { return taken[address] })
		require.NoError(t, err)
		for _, p := range ports {
			require.False(t, taken[p])
			taken[p] = true
		}
	}
	_, err := freePorts(1, func(string) bool { return true })
	require.Error(t, err)
}
