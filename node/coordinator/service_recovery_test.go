package coordinator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// restore has the coordinators go on from what they know, as a backup.
func (w *world) restore() {
	w.t.Helper()
	w.raft.mu.Lock()
	defer w.raft.mu.Unlock()
	state, err := raft.Restored(w.raft.state, raft.Restoration{Incarnation: volume.NewClusterID(),
		Generation: w.raft.state.Cluster.RestoreGen + 1, At: time.Now(), From: "a backup"})
	require.NoError(w.t, err)
	w.raft.state = state
	w.raft.index++
	close(w.raft.wake)
	w.raft.wake = make(chan struct{})
}

// TestEndRestore: it takes a word more while a storage node has not told what is on its disks, and is no news twice.
func TestEndRestore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		require.NoError(t, w.api.EndRestore(t.Context(), api.EndRestore{}), "nothing was restored")
		w.restore()
		w.machines["n3"].kill()
		pass(5 * time.Second)
		w.machines["n1"].told.Store(true)
		pass(time.Second)
		refusedWith(t, w.api.EndRestore(t.Context(), api.EndRestore{}), api.CodeRefused,
			"n2 (it has not told yet which legs are on its disks), n3 (silent)", "--yes")
		w.machines["n2"].told.Store(true)
		pass(time.Second)
		refusedWith(t, w.api.EndRestore(t.Context(), api.EndRestore{}), api.CodeRefused, "disks of n3 (silent)")
		state, _ := w.raft.State()
		require.True(t, state.Cluster.FromLegs)
		require.NoError(t, w.api.EndRestore(t.Context(), api.EndRestore{Anyway: true}))
		require.NoError(t, w.api.EndRestore(t.Context(), api.EndRestore{}), "it was said")
		state, _ = w.raft.State()
		require.False(t, state.Cluster.FromLegs)

		w.restore()
		m := w.machines["n3"]
		m.told.Store(true)
		m.start(w.ctx)
		pass(5 * time.Second)
		require.NoError(t, w.api.EndRestore(t.Context(), api.EndRestore{}))
	})
}

// TestPromote_thenDone: a promotion is what its plan said, and is refused as its plan is.
func TestPromote_thenDone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		w.restore()
		r := api.PlanRequest{Verb: api.PlanVolumePromote, Name: "v1", Leg: "n1", Reason: "n2 burnt"}
		_, err := w.foresee(r)
		refusedWith(t, err, api.CodeBusy, "--host-is-off")
		_, err = w.api.PromoteLeg(t.Context(), "v1", api.Promote{Leg: "n1", Reason: "n2 burnt"})
		refusedWith(t, err, api.CodeBusy, "--host-is-off")
		r.HostIsOff = true
		plan, err := w.foresee(r)
		require.NoError(t, err)
		require.Equal(t, []string{"promote", "volume/v1", "n1"}, short(plan.Steps[0]))
		require.Equal(t, []string{"give_up", "volume/v1", ""}, short(plan.Steps[1]))
		require.Contains(t, plan.Risks[0], "given up is what is on n2")
		_, err = w.foresee(api.PlanRequest{Verb: api.PlanVolumePromote, Name: "v1", Leg: "n9", Reason: "x"})
		refusedWith(t, err, api.CodeNotFound, "n9")
		v, err := w.api.PromoteLeg(t.Context(), "v1", api.Promote{Leg: "n1", Reason: "n2 burnt", HostIsOff: true})
		require.NoError(t, err)
		for _, l := range v.Legs {
			want := volume.LegInSync
			if l.Node != "n1" {
				want = volume.LegQuarantined
			}
			require.Equal(t, want, l.State, l.Node)
		}
	})
}
