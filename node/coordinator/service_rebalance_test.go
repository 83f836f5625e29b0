package coordinator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestRebalance_movesWhatWasForetold: legs move to a node that was added, and what is amiss holds them.
func TestRebalance_movesWhatWasForetold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n, err := w.api.Node(t.Context(), "n1")
		require.NoError(t, err)
		for _, name := range []string{"v1", "v2"} {
			_, err := w.api.CreateVolume(t.Context(), api.CreateVolume{Name: name,
				SizeBytes: n.Stores[0].Promisable / 5 >> 12 << 12, Layout: "mirror=2", LegsOn: []string{"n1", "n2"}})
			require.NoError(t, err)
			_, err = w.api.AttachVolume(t.Context(), name, api.AttachVolume{Host: "h1"})
			require.NoError(t, err)
		}
		fresh := w.add("n4", volume.NewNodeID(), raft.RoleStorage)
		pass(3 * time.Second)
		plan, err := w.foresee(api.PlanRequest{Verb: api.PlanRebalance})
		require.NoError(t, err)
		require.Len(t, plan.Steps, 2)
		require.Equal(t, []string{"copy_leg", "volume/v1", "n3/disk1"}, short(plan.Steps[0]))

		fresh.kill()
		pass(10 * time.Second)
		_, err = w.foresee(api.PlanRequest{Verb: api.PlanRebalance})
		refusedWith(t, err, api.CodeRefused, "node n4 does not answer")
		refusedWith(t, w.api.Rebalance(t.Context(), api.Wait{}, func(api.Operation) error { return nil }),
			api.CodeRefused, "node n4 does not answer")
		fresh.start(w.ctx)
		pass(5 * time.Second)

		var last api.Operation
		require.NoError(t, w.api.Rebalance(t.Context(), api.Wait{}, func(op api.Operation) error {
			last = op
			return nil
		}))
		require.Equal(t, api.OperationDone, last.State)
		require.Equal(t, []int{2, 2}, []int{last.LegsDone, last.LegsTotal}, last.Message)
		var nodes []string
		for _, name := range []string{"v1", "v2"} {
			v := w.volume(name)
			require.Len(t, v.Legs, 2)
			for _, l := range v.Legs {
				require.Equal(t, volume.LegInSync, l.State)
				nodes = append(nodes, l.Node)
			}
		}
		require.ElementsMatch(t, []string{"n1", "n2", "n3", "n4"}, nodes)

		require.NoError(t, w.api.Rebalance(t.Context(), api.Wait{}, func(op api.Operation) error {
			last = op
			return nil
		}))
		require.Zero(t, last.LegsTotal, "again: nothing is left to move")
		require.NoError(t, w.api.StopRebalance(t.Context()))
	})
}
