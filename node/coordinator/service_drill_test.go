package coordinator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/node/metrics/metricstest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// drilled makes a domain that runs on h1 and waits until nothing stands against a drill of it.
func (w *world) drilled() {
	w.t.Helper()
	w.create("v1")
	w.domain("web", "h1", "h2")
	_, err := w.api.StartDomain(w.t.Context(), "web", api.Wait{})
	require.NoError(w.t, err)
	_, _, err = w.raft.Apply(w.t.Context(), raft.Command{RaiseVersion: &raft.RaiseVersion{To: raft.VersionLatest}})
	require.NoError(w.t, err)
	w.machines["h1"].reads.Store(true)
	w.machines["h2"].reads.Store(true)
	pass(5 * time.Second)
}

// ended waits for the end of a drill.
func (w *world) ended(id string) api.Drill {
	w.t.Helper()
	var d api.Drill
	require.Eventually(w.t, func() bool {
		var err error
		d, err = w.api.Drill(w.t.Context(), id)
		require.NoError(w.t, err)
		return d.State != api.OperationRunning
	}, 5*time.Minute, 100*time.Millisecond)
	return d
}

func TestDrill_isKeptWithWhatItShowed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.drilled()
		plan, err := w.foresee(api.PlanRequest{Verb: api.PlanDomainDrill, Name: "web"})
		require.NoError(t, err)
		require.Equal(t, []string{"move_domain", "domain/web", "h2"}, short(plan.Steps[0]))

		request := volume.NewUUID().String()
		d, err := w.api.DrillDomain(t.Context(), "web", api.DrillDomain{Back: true, Request: request})
		require.NoError(t, err)
		require.Equal(t, api.OperationRunning, d.State)
		again, err := w.api.DrillDomain(t.Context(), "web", api.DrillDomain{Back: true, Request: request})
		require.NoError(t, err)
		require.Equal(t, d.ID, again.ID, "a repeated request is the same drill")
		_, err = w.api.DrillDomain(t.Context(), "web", api.DrillDomain{})
		refusedWith(t, err, api.CodeRefused, "web", "drill 1 of it goes on")

		var granted []time.Duration
		for _, host := range []string{"h2", "h1"} {
			require.Eventually(t, func() bool { return w.volume("v1").Attachment.Host == host }, time.Minute,
				time.Millisecond)
			state, _ := w.raft.State()
			granted = append(granted, state.VolumeByName("v1").Attach.TRead)
		}
		d = w.ended(d.ID)
		require.NotNil(t, d.EndedAt)
		require.Len(t, d.Moves, 2, d.Message)
		require.Equal(t, []string{"h1", "h2", "h2", "h1"},
			[]string{d.Moves[0].From, d.Moves[0].To, d.Moves[1].From, d.Moves[1].To})
		require.NotEmpty(t, d.NotChecked)
		for _, c := range d.Checks {
			require.True(t, c.OK, c.Detail)
		}
		require.Equal(t, api.DrillOK, d.State, d.Message)
		for _, m := range d.Moves {
			require.Positive(t, m.FirstReadSeconds)
			require.InDelta(t, m.FirstReadSeconds+2, m.TotalSeconds, 0.001, "with the time to find a host dead")
			require.Less(t, m.TotalSeconds, m.TotalBoundSeconds)
		}

		dom, err := w.api.Domain(t.Context(), "web")
		require.NoError(t, err)
		require.Equal(t, "h1", dom.Host)
		require.Equal(t, []time.Duration{raft.TRead, raft.TRead}, granted, "both grants have the leader's T_read")
		require.Equal(t, d.ID, dom.LastDrill.ID)
		require.Equal(t, api.DrillOK, dom.LastDrill.State)
		require.Equal(t, d.ID, w.volume("v1").LastDrill.ID)
		require.True(t, d.StartedAt.Equal(*dom.LastDrill.WorkedAt))
		registry := metricstest.Registry(t, w.c.Collectors()...)
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(fmt.Sprintf(`
# HELP holdfast_drill_first_read_seconds Decision to first read of the latest that worked. Only the leader tells it.
# TYPE holdfast_drill_first_read_seconds gauge
holdfast_drill_first_read_seconds{object="domain/web"} %g
# HELP holdfast_drill_last_result Of the latest drill that ended: 0 ok, 1 slow, 2 failed. Only the leader tells it.
# TYPE holdfast_drill_last_result gauge
holdfast_drill_last_result{object="domain/web"} 0
`, d.Moves[0].FirstReadSeconds)), "holdfast_drill_first_read_seconds", "holdfast_drill_last_result"))
		count, err := testutil.GatherAndCount(registry, "holdfast_drill_worked_timestamp_seconds")
		require.NoError(t, err)
		require.Equal(t, 1, count)

		// One that fails is the last; when it worked stays known.
		w.machines["h2"].reads.Store(false)
		failed, err := w.api.DrillDomain(t.Context(), "web", api.DrillDomain{})
		require.NoError(t, err)
		failed = w.ended(failed.ID)
		require.Equal(t, api.DrillFailed, failed.State)
		require.Contains(t, failed.Message, "has read nothing")
		dom, err = w.api.Domain(t.Context(), "web")
		require.NoError(t, err)
		require.Equal(t, failed.ID, dom.LastDrill.ID)
		require.True(t, d.StartedAt.Equal(*dom.LastDrill.WorkedAt))
	})
}

func TestDrill_refusals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, err := w.api.DrillDomain(t.Context(), "web", api.DrillDomain{})
		refusedWith(t, err, api.CodeNotFound, "web")
		w.drilled()
		_, err = w.api.DrillDomain(t.Context(), "web", api.DrillDomain{Request: "one"})
		refusedWith(t, err, api.CodeInvalid, `"one"`)
		_, err = w.api.DrillDomain(t.Context(), "web", api.DrillDomain{To: "h1"})
		refusedWith(t, err, api.CodeInvalid, "h1 already")
		_, err = w.api.DrillDomain(t.Context(), "web", api.DrillDomain{To: "n2"})
		refusedWith(t, err, api.CodeInvalid, "n2 is no host")
		_, err = w.api.Drill(t.Context(), "7")
		refusedWith(t, err, api.CodeNotFound, "7", "holdfast drill list")

		w.machines["h2"].kill()
		pass(5 * time.Second)
		_, err = w.api.DrillDomain(t.Context(), "web", api.DrillDomain{})
		refusedWith(t, err, api.CodeFailed, "no other host", "h2 is down")
		_, err = w.foresee(api.PlanRequest{Verb: api.PlanDomainDrill, Name: "web", Host: "h2"})
		refusedWith(t, err, api.CodeFailed, "h2 is silent")

		_, err = w.api.StopDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		_, err = w.api.DrillDomain(t.Context(), "web", api.DrillDomain{})
		refusedWith(t, err, api.CodeInvalid, "is stopped")
		all, err := w.api.Drills(t.Context())
		require.NoError(t, err)
		require.Empty(t, all)
	})
}

// A guest that would wait for its image on the other host, or on its way back, is not moved for a drill.
func TestDrill_notWhereTheImageIsMissing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.drilled()
		state, _ := w.raft.State()
		add := func(number int, host string) {
			t.Helper()
			_, _, err := w.raft.Apply(t.Context(), raft.Command{AddImage: &raft.AddImage{Name: "debian",
				Digest: digest(number), SizeBytes: 10, Holder: state.NodeByName(host).ID}})
			require.NoError(t, err)
		}
		add(1, "h1")
		dom, err := w.api.StopDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		dom.Spec.Boot = &guest.Boot{RootImage: "image:debian@1"}
		_, err = w.api.DefineDomain(t.Context(), dom.Spec)
		require.NoError(t, err)
		_, err = w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		pass(5 * time.Second)
		_, err = w.api.DrillDomain(t.Context(), "web", api.DrillDomain{})
		refusedWith(t, err, api.CodeRefused, "web", "h2 does not have image debian@1", "--to")
		_, err = w.foresee(api.PlanRequest{Verb: api.PlanDomainDrill, Name: "web", Host: "h2"})
		refusedWith(t, err, api.CodeRefused, "h2 does not have image debian@1")

		add(2, "h2")
		_, err = w.api.PinDomain(t.Context(), "web", api.PinDomain{Image: "debian@2"})
		require.NoError(t, err)
		_, err = w.api.DrillDomain(t.Context(), "web", api.DrillDomain{Back: true})
		refusedWith(t, err, api.CodeRefused, "h1 does not have image debian@2")
		d, err := w.api.DrillDomain(t.Context(), "web", api.DrillDomain{})
		require.NoError(t, err)
		require.Equal(t, "h2", d.Moves[0].To)
	})
}
