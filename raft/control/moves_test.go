package control

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
)

// TestMoves_comeToAnEnd plans the moves of random clusters. Each move lets its volume share fewer zones or
// racks, or takes from a store that was fuller than the other is afterwards; Apply takes the first of them;
// and where nodes are alike in all but what they hold, they end within the tolerance and one leg.
func TestMoves_comeToAnEnd(t *testing.T) {
	moved := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 9))
		w := newWorld(t)
		nodes, zones := 3+r.IntN(5), r.IntN(4)
		for i := range nodes {
			name := fmt.Sprint("s", i)
			w.addNode(name, []string{"storage"})
			w.stores[name] = 20 << 30
			if zones > 0 {
				w.do(fmt.Sprintf("locate %s z%d", name, r.IntN(zones)))
			}
		}
		for i := range r.IntN(25) {
			first := r.IntN(min(nodes, 2+r.IntN(nodes)) - 1)
			w.addVolume(fmt.Sprint("v", i), []string{fmt.Sprint("s", first), fmt.Sprint("s", first+1)})
		}
		w.beat()
		v := w.view()
		require.Empty(t, v.Unfit(), "seed %d", seed)
		b := &balance{view: v, state: v.State, stores: v.Stores()}
		moves := v.Moves()
		require.Less(t, len(moves), movesMax, "seed %d", seed)
		moved += len(moves)
		for i, m := range moves {
			name := fmt.Sprintf("seed %d move %d", seed, i)
			vol := b.state.Volumes[m.Volume]
			old := vol.Leg(m.Old)
			zonesWere, racksWere := b.state.SharedDomains(vol.ID)
			from := b.use(old.Store)
			b.settle(vol, old, m.New, false)
			zonesAre, racksAre := b.state.SharedDomains(vol.ID)
			better := zonesAre < zonesWere || zonesAre == zonesWere && racksAre < racksWere
			if !better {
				require.Equal(t, []int{zonesWere, racksWere}, []int{zonesAre, racksAre}, name)
				require.Greater(t, share(from), share(b.use(m.New.Store))+RebalanceTolerance, name)
			}
			require.GreaterOrEqual(t, b.use(m.New.Store).FreeBytes, int64(0), name)
			for _, l := range b.state.Volumes[vol.ID].Legs {
				require.False(t, l.ID != m.New.ID && l.Node == m.New.Node, "two legs on a node: %s", name)
			}
		}
		require.Nil(t, b.next(), "seed %d: nothing is left to move", seed)
		if zones == 0 {
			low, high := 1000, 0
			for _, st := range b.stores {
				low, high = min(low, share(st)), max(high, share(st))
			}
			require.LessOrEqual(t, high-low, RebalanceTolerance+100, "seed %d: a leg is at most 50 of 1000", seed)
		}
		if len(moves) > 0 {
			w.do("rebalance")
			require.Nil(t, w.apply(raft.Command{ReplaceLeg: &moves[0]}).Err, "seed %d", seed)
		}
	}
	require.Greater(t, moved, 100)
}

// use returns what is known of a store.
func (b *balance) use(store any) raft.StoreUse {
	for _, st := range b.stores {
		if st.Store == store {
			return st
		}
	}
	return raft.StoreUse{}
}
