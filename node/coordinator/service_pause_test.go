package coordinator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
)

// TestPause_outlivesTheHost: what is paused stays so, wherever it is placed, until it is resumed or stopped.
func TestPause_outlivesTheHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, err := w.api.PauseDomain(t.Context(), "web", api.Wait{})
		refusedWith(t, err, api.CodeNotFound, "web")
		w.create("v1")
		w.domain("web", "h1", "h2")
		_, err = w.api.PauseDomain(t.Context(), "web", api.Wait{})
		refusedWith(t, err, api.CodeInvalid, "is stopped")
		_, err = w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		_, _, err = w.raft.Apply(t.Context(), raft.Command{RaiseVersion: &raft.RaiseVersion{To: raft.VersionLatest}})
		require.NoError(t, err)

		d, err := w.api.PauseDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		require.Equal(t, "paused", d.State)
		require.True(t, d.Paused)
		require.Equal(t, 43, d.PID)
		require.Equal(t, "answers", d.Agent)
		h, err := w.api.Health(t.Context())
		require.NoError(t, err)
		require.Equal(t, api.Healthy, h.Status)
		_, err = w.api.StartDomain(t.Context(), "web", api.Wait{})
		refusedWith(t, err, api.CodeInvalid, "is paused on h1", "holdfast domain resume web")
		_, err = w.api.MigrateDomain(t.Context(), "web", api.MigrateDomain{})
		refusedWith(t, err, api.CodeInvalid, "is paused", "holdfast domain resume web")
		_, err = w.api.DrillDomain(t.Context(), "web", api.DrillDomain{})
		refusedWith(t, err, api.CodeRefused, "is paused")

		w.machines["h1"].kill()
		require.NoError(t, w.api.await(t.Context(), "domain/web", "moving", func(v *control.View) (bool, error) {
			d := v.State.Domains["web"]
			fact := v.Domain(d)
			return v.State.NodeName(d.Host) == "h2" && fact != nil && fact.State == control.DomainPaused, nil
		}))
		d, err = w.api.Domain(t.Context(), "web")
		require.NoError(t, err)
		require.Equal(t, "paused", d.State)
		require.Zero(t, d.PID, "it is not started")
		pass(10 * time.Second)
		operations, err := w.api.Operations(t.Context())
		require.NoError(t, err)
		require.Equal(t, "done", operations[0].State, "nothing is waited for")

		d, err = w.api.ResumeDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		require.Equal(t, "running", d.State)
		require.False(t, d.Paused)

		_, err = w.api.PauseDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		_, err = w.api.StopDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		d, err = w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		require.Equal(t, "running", d.State)
	})
}
