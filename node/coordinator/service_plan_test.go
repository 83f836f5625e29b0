package coordinator

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// foresee asks for a plan and checks that asking changed nothing.
func (w *world) foresee(r api.PlanRequest) (api.Plan, error) {
	w.t.Helper()
	before, _ := w.raft.State()
	text, err := json.Marshal(before)
	require.NoError(w.t, err)
	plan, failure := w.api.Plan(w.t.Context(), r)
	after, _ := w.raft.State()
	again, err := json.Marshal(after)
	require.NoError(w.t, err)
	require.Equal(w.t, string(text), string(again), "a plan changes nothing")
	return plan, failure
}

// TestPlan_thenDone: each verb does what its plan said, and is refused as its plan is.
func TestPlan_thenDone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		_, err := w.foresee(api.PlanRequest{Verb: api.PlanVolumeDelete, Name: "v9"})
		refusedWith(t, err, api.CodeNotFound, "v9")
		_, err = w.foresee(api.PlanRequest{Verb: "dance", Name: "v1"})
		refusedWith(t, err, api.CodeInvalid, "dance")

		plan, err := w.foresee(api.PlanRequest{Verb: api.PlanVolumeAttach, Name: "v1", Host: "h1"})
		require.NoError(t, err)
		require.Equal(t, []string{"attach", "volume/v1", "h1"}, short(plan.Steps[0]))
		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		plan, err = w.foresee(api.PlanRequest{Verb: api.PlanVolumeAttach, Name: "v1", Host: "h1"})
		require.NoError(t, err)
		require.Empty(t, plan.Steps, "it is there already")

		for _, r := range []api.PlanRequest{{Verb: api.PlanVolumeDelete, Name: "v1"},
			{Verb: api.PlanVolumeAttach, Name: "v1", Host: "h2"}} {
			_, foretold := w.foresee(r)
			refusedWith(t, foretold, api.CodeBusy, "h1")
		}
		plan, err = w.foresee(api.PlanRequest{Verb: api.PlanVolumeAttach, Name: "v1", Host: "h2", Takeover: true})
		require.NoError(t, err)
		require.Equal(t, []string{"fence", "volume/v1", ""}, short(plan.Steps[0]))
		require.Equal(t, "h1", plan.Steps[0].From)

		plan, err = w.foresee(api.PlanRequest{Verb: api.PlanNodeRemove, Name: "n2"})
		require.NoError(t, err)
		require.Equal(t, []string{"retire", "node/n2", ""}, short(plan.Steps[0]))
		require.Equal(t, []string{"copy_leg", "volume/v1", "n3"}, short(plan.Steps[1]))
		require.Equal(t, []int{2, 2}, []int{plan.Steps[1].InSync, plan.Steps[1].Legs})
		require.NoError(t, w.api.RemoveNode(t.Context(), "n2", api.Wait{}, func(api.Operation) error { return nil }))
		require.Equal(t, "n3", w.volume("v1").Legs[1].Node)

		w.add("n4", volume.NewNodeID(), raft.RoleStorage)
		pass(3 * time.Second)
		plan, err = w.foresee(api.PlanRequest{Verb: api.PlanNodeReplace, Name: "n3", New: "n4"})
		require.NoError(t, err)
		require.Equal(t, []string{"copy_leg", "volume/v1", "n4"}, short(plan.Steps[1]))

		plan, err = w.foresee(api.PlanRequest{Verb: api.PlanVolumeDetach, Name: "v1"})
		require.NoError(t, err)
		require.Equal(t, []string{"detach", "volume/v1", ""}, short(plan.Steps[0]))
		require.NoError(t, w.api.DetachVolume(t.Context(), "v1", api.Wait{}))
		plan, err = w.foresee(api.PlanRequest{Verb: api.PlanVolumeDelete, Name: "v1"})
		require.NoError(t, err)
		require.Len(t, plan.Steps, 2)
		require.Contains(t, plan.Risks[0], "gone for good")
	})
}

func TestPlan_ofAFailover(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("root")
		_, err := w.api.DefineDomain(t.Context(), api.DomainSpec{Name: "web1", Driver: "exec",
			Exec:    &api.ExecSpec{Command: []string{"/bin/guest"}},
			Volumes: []api.DomainVolume{{Name: "root"}}, Hosts: []string{"h1", "h2"}})
		require.NoError(t, err)
		_, err = w.foresee(api.PlanRequest{Verb: api.PlanDomainFailover, Name: "web1"})
		refusedWith(t, err, api.CodeInvalid, "stopped")
		_, err = w.api.StartDomain(t.Context(), "web1", api.Wait{})
		require.NoError(t, err)
		plan, err := w.foresee(api.PlanRequest{Verb: api.PlanDomainFailover, Name: "web1"})
		require.NoError(t, err)
		require.Equal(t, []string{"move_domain", "domain/web1", "h2"}, short(plan.Steps[0]))
		d, err := w.api.FailoverDomain(t.Context(), "web1", api.FailoverDomain{})
		require.NoError(t, err)
		require.Equal(t, "h2", d.Host)
	})
}

func TestPlan_ofAMigration(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("root")
		_, _, err := w.raft.Apply(t.Context(), raft.Command{RaiseVersion: &raft.RaiseVersion{To: raft.VersionLatest}})
		require.NoError(t, err)
		_, err = w.api.DefineDomain(t.Context(), api.DomainSpec{Name: "web1", Driver: "qemu",
			Volumes: []api.DomainVolume{{Name: "root"}}, Hosts: []string{"h1", "h2"}})
		require.NoError(t, err)
		_, err = w.foresee(api.PlanRequest{Verb: api.PlanDomainMigrate, Name: "web1"})
		refusedWith(t, err, api.CodeInvalid, "stopped")
		_, err = w.api.StartDomain(t.Context(), "web1", api.Wait{})
		require.NoError(t, err)
		_, err = w.foresee(api.PlanRequest{Verb: api.PlanDomainMigrate, Name: "web1", Host: "h1"})
		refusedWith(t, err, api.CodeInvalid, "runs on h1 already")
		plan, err := w.foresee(api.PlanRequest{Verb: api.PlanDomainMigrate, Name: "web1"})
		require.NoError(t, err)
		require.Equal(t, []string{"migrate_domain", "domain/web1", "h2"}, short(plan.Steps[0]))
		require.Equal(t, []string{"detach", "volume/root", ""}, short(plan.Steps[1]))
		require.Equal(t, []string{"attach", "volume/root", "h2"}, short(plan.Steps[2]))
		d, err := w.api.Domain(t.Context(), "web1")
		require.NoError(t, err)
		require.Equal(t, "h1", d.Host)
	})
}

func short(s api.PlanStep) []string { return []string{s.Action, s.Object, s.To} }
