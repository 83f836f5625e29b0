package coordinator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestProposeOne_aLegWhoseRoomWasTakenMeanwhile: a controller decided when there was room. What an operator asked for
// since took it, and the leg is not promised the same space a second time.
func TestProposeOne_aLegWhoseRoomWasTakenMeanwhile(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		state, _ := w.raft.State()
		v1, n3 := state.VolumeByName("v1"), w.machines["n3"].node
		decided := raft.Command{ReplaceLeg: &raft.ReplaceLeg{Volume: v1.ID, Old: v1.Legs[1].ID, New: raft.NewLeg{
			ID: volume.NewLegID(), Node: n3.ID, Store: n3.Stores[0].ID, Slot: v1.Legs[1].Slot}}}

		shown, err := w.api.Node(t.Context(), "n3")
		require.NoError(t, err)
		_, err = w.api.CreateVolume(t.Context(), api.CreateVolume{Name: "large", Layout: "mirror=1",
			SizeBytes: (shown.Stores[0].Promisable - 1<<29) >> 12 << 12, LegsOn: []string{"n3"}})
		require.NoError(t, err, "half a GiB is left, of the GiB that the leg needs")
		l := &loop{Coordinator: w.c, ctx: t.Context()}
		require.Equal(t, acceptedPause, l.proposeOne(decided), "it is decided anew soon")
		require.Zero(t, w.raft.count(decided.Name()))
		require.Len(t, w.volume("v1").Legs, 2)

		require.NoError(t, w.api.DeleteVolume(t.Context(), "large", api.Wait{}))
		require.Equal(t, acceptedPause, l.proposeOne(decided))
		require.Equal(t, 1, w.raft.count(decided.Name()), "with room it is proposed")
	})
}
