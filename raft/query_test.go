package raft

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// TestNodeByName_order: whoever of several nodes bears a name does not depend on the order of a map.
func TestNodeByName_order(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		s := NewState()
		for range random.IntN(6) {
			n := &Node{ID: volume.NewNodeID(), Name: "n", Pending: random.IntN(2) == 0, Retiring: random.IntN(2) == 0}
			s.Nodes[n.ID] = n
		}
		var want *Node
		for _, n := range s.SortedNodes() {
			if want == nil || nameRank(n) < nameRank(want) {
				want = n
			}
		}
		for range 5 {
			require.Same(t, want, s.NodeByName("n"))
		}
		require.Nil(t, s.NodeByName("m"))
	}
}
