package coordinator

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

func TestCluster_isInitialisedAndHealthy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c, err := w.api.Cluster(t.Context())
		require.NoError(t, err)
		require.Equal(t, "c", c.Name)
		require.Equal(t, "n1", c.Leader)
		nodes, err := w.api.Nodes(t.Context())
		require.NoError(t, err)
		require.Len(t, nodes, 5)
		for _, n := range nodes {
			require.Equal(t, api.NodeUp, n.State, n.Name)
			require.Equal(t, 42, n.PID)
			require.Equal(t, n.Name == "n1", n.Leader)
		}
		h, err := w.api.Health(t.Context())
		require.NoError(t, err)
		require.Equal(t, api.Healthy, h.Status, h.Findings)
	})
}

func TestCluster_countsThoseThatVote(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		voters := []raft.Member{{ID: w.raft.self}}
		for _, name := range []string{"c2", "c3", "c4"} {
			m := w.add(name, volume.NewNodeID(), raft.RoleCoordinator)
			voters = append(voters, raft.Member{ID: m.node.ID, Addr: m.node.Raft})
		}
		w.raft.mu.Lock()
		w.raft.members = voters[:3]
		w.raft.mu.Unlock()
		require.Eventually(t, func() bool {
			c, err := w.api.Cluster(t.Context())
			return err == nil && c.Nodes == 8 && c.Coordinators == 3
		}, time.Minute, 100*time.Millisecond)
	})
}

func TestVolume_createAttachDetachDelete(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		a, err := w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		require.Equal(t, "h1", a.Host)
		require.EqualValues(t, 1, a.Epoch)
		require.Equal(t, []api.Export{{Type: "nbd", URL: "nbd+unix:///v1?socket=/run/v1"}}, a.Exports)

		again, err := w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		require.Equal(t, a, again, "again on the same host is the same answer")

		v := w.volume("v1")
		require.Equal(t, "attached", v.State)
		require.Equal(t, api.Healthy, v.Health)
		require.Equal(t, "h1", v.Attachment.Host)
		require.Equal(t, 44, v.Attachment.EnginePID)
		for _, l := range v.Legs {
			require.Equal(t, volume.LegInSync, l.State)
			require.EqualValues(t, 1, l.Progress)
		}

		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h2"})
		refusedWith(t, err, api.CodeBusy, "h1", "--takeover")
		refusedWith(t, w.api.DeleteVolume(t.Context(), "v1", api.Wait{}), api.CodeBusy, "detach")

		taken, err := w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h2", Takeover: true})
		require.NoError(t, err)
		require.EqualValues(t, 2, taken.Epoch)

		require.NoError(t, w.api.DetachVolume(t.Context(), "v1", api.Wait{}))
		require.Nil(t, w.volume("v1").Attachment)
		require.NoError(t, w.api.DetachVolume(t.Context(), "v1", api.Wait{}),
			"detaching what is detached is done")

		require.NoError(t, w.api.DeleteVolume(t.Context(), "v1", api.Wait{}))
		_, err = w.api.Volume(t.Context(), "v1")
		refusedWith(t, err, api.CodeNotFound, "v1")
		for _, m := range w.machines {
			require.Empty(t, m.legs)
		}
	})
}

func TestVolume_refusals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		good := api.CreateVolume{Name: "v2", SizeBytes: 1 << 30, Layout: "mirror=2"}
		cases := map[string]struct {
			change func(*api.CreateVolume)
			code   api.Code
			word   string
		}{
			"name":   {func(r *api.CreateVolume) { r.Name = "V 2" }, api.CodeInvalid, "V 2"},
			"taken":  {func(r *api.CreateVolume) { r.Name = "v1" }, api.CodeExists, "v1"},
			"size":   {func(r *api.CreateVolume) { r.SizeBytes = 4097 }, api.CodeInvalid, "8192"},
			"layout": {func(r *api.CreateVolume) { r.Layout = "raid6" }, api.CodeInvalid, "raid6"},
			"chunk": {func(r *api.CreateVolume) { r.Layout = "parity=2+1,chunk=48K" }, api.CodeInvalid,
				"power of two"},
			"parity too wide": {func(r *api.CreateVolume) { r.Layout = "parity=4+2" }, api.CodeFailed,
				"6 storage nodes"},
			"too wide": {func(r *api.CreateVolume) { r.Layout = "mirror=4" }, api.CodeFailed,
				"4 storage nodes"},
			"too large": {func(r *api.CreateVolume) { r.SizeBytes = 101 << 30 }, api.CodeFailed, "free"},
			"legs_on": {func(r *api.CreateVolume) { r.LegsOn = []string{"n1"} }, api.CodeInvalid,
				"2 nodes"},
			"unknown node": {func(r *api.CreateVolume) { r.LegsOn = []string{"n1", "n9"} }, api.CodeFailed,
				"n9"},
			"no storage": {func(r *api.CreateVolume) { r.LegsOn = []string{"n1", "h1"} }, api.CodeFailed,
				"h1"},
			"durability": {func(r *api.CreateVolume) { r.Durability = "maybe" }, api.CodeInvalid, "maybe"},
			"loss": {func(r *api.CreateVolume) { r.UnflushedLoss = "maybe" }, api.CodeInvalid,
				"maybe"},
			"id": {func(r *api.CreateVolume) { r.ID = "7" }, api.CodeInvalid, "UUID"},
		}
		for name, c := range cases {
			r := good
			c.change(&r)
			_, err := w.api.CreateVolume(t.Context(), r)
			require.Error(t, err, name)
			refusedWith(t, err, c.code, c.word)
		}
		_, err := w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "n1"})
		refusedWith(t, err, api.CodeInvalid, "n1", "no host")
		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h9"})
		refusedWith(t, err, api.CodeNotFound, "h9")
		_, err = w.api.AttachVolume(t.Context(), "v9", api.AttachVolume{Host: "h1"})
		refusedWith(t, err, api.CodeNotFound, "v9")
	})
}

func TestVolume_createTwiceWithOneIDMakesOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := api.CreateVolume{ID: volume.NewID().String(), Name: "v1", SizeBytes: 1 << 30, Layout: "mirror=2"}
		first, err := w.api.CreateVolume(t.Context(), r)
		require.NoError(t, err)
		second, err := w.api.CreateVolume(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, first, second)
	})
}

func TestVolume_attachSaysWhenEnginesKeepFailing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		w.machines["h1"].fails.Store(true)
		_, err := w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		refusedWith(t, err, api.CodeFailed, "v1", "h1", "a test")
	})
}

func TestVolume_attachThatIsInterruptedGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := w.api.AttachVolume(ctx, "v1", api.AttachVolume{Host: "h1"})
		refusedWith(t, err, api.CodeTimeout, "attaching volume v1")
		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		require.Equal(t, 1, w.raft.count("begin_attach"), "it was the same attachment")
	})
}

func (w *world) domain(name string, hosts ...string) {
	w.t.Helper()
	_, err := w.api.DefineDomain(w.t.Context(), api.DomainSpec{
		Name: name, Driver: "exec", Exec: &api.ExecSpec{Command: []string{"guest"}},
		Volumes: []api.DomainVolume{{Name: "v1"}}, Hosts: hosts,
	})
	require.NoError(w.t, err)
}

func TestDomain_life(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		w.domain("web", "h1", "h2")
		d, err := w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		require.Equal(t, "h1", d.Host)
		require.Equal(t, "running", d.State)
		require.Equal(t, 43, d.PID)
		again, err := w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		require.Equal(t, d, again)

		refusedWith(t, w.api.DeleteDomain(t.Context(), "web"), api.CodeBusy, "web")
		refusedWith(t, w.api.DetachVolume(t.Context(), "v1", api.Wait{}), api.CodeBusy, "web")
		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h2", Takeover: true})
		refusedWith(t, err, api.CodeBusy, "web")

		_, err = w.api.FailoverDomain(t.Context(), "web", api.FailoverDomain{To: "h1"})
		refusedWith(t, err, api.CodeInvalid, "h1 already")
		d, err = w.api.FailoverDomain(t.Context(), "web", api.FailoverDomain{})
		require.NoError(t, err)
		require.Equal(t, "h2", d.Host)
		require.EqualValues(t, 2, w.volume("v1").Epoch)

		d, err = w.api.StopDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		require.Equal(t, "stopped", d.State)
		require.Nil(t, w.volume("v1").Attachment)
		require.NoError(t, w.api.DeleteDomain(t.Context(), "web"))
		_, err = w.api.Domain(t.Context(), "web")
		refusedWith(t, err, api.CodeNotFound, "web")
	})
}

// TestDomain_failoverIsAutomatic: the host falls silent, and the clone runs elsewhere well within the
// time that the design promises, counted from the last sign of life.
func TestDomain_failoverIsAutomatic(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		w.domain("web", "h1", "h2")
		_, err := w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		w.machines["h1"].kill()
		died := time.Now()
		err = w.api.await(t.Context(), "domain/web", "failing over", runsOn("web", "h2"))
		require.NoError(t, err)
		require.Less(t, time.Since(died), 5*time.Second)
		require.EqualValues(t, 2, w.volume("v1").Epoch)

		kinds := map[string]bool{}
		require.NoError(t, w.api.Events(t.Context(), 0, false, func(e api.Event) error {
			kinds[e.Kind] = true
			return nil
		}))
		require.True(t, kinds["node_silent"])
		require.True(t, kinds["takeover"])
		require.True(t, kinds["domain_moved"])

		h, err := w.api.Health(t.Context())
		require.NoError(t, err)
		require.Equal(t, api.Degraded, h.Status, h.Findings)
	})
}

// The clock that decides whether a domain moves is shown with it.
func TestDomain_timersOfASilentHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		w.domain("web", "h1", "h2")
		d, err := w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		require.Empty(t, d.Timers)
		w.machines["h1"].kill()
		pass(1500 * time.Millisecond)
		d, err = w.api.Domain(t.Context(), "web")
		require.NoError(t, err)
		require.Len(t, d.Timers, 1)
		require.Equal(t, "its silence", d.Timers[0].What)
		require.Greater(t, d.Timers[0].LeftSeconds, 0.0)
		require.Less(t, d.Timers[0].LeftSeconds, 1.0)
		require.Contains(t, d.Timers[0].Then, "its domains are started elsewhere")
	})
}

func TestDomain_exitedIsStartedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		w.domain("web", "h1")
		w.machines["h1"].crashes.Store(true)
		_, err := w.api.StartDomain(t.Context(), "web", api.Wait{})
		refusedWith(t, err, api.CodeFailed, "web", "exited")
		pass(10 * time.Second)
		d, err := w.api.Domain(t.Context(), "web")
		require.NoError(t, err)
		require.Greater(t, d.Run, uint64(3), "again and again")
		require.Less(t, d.Run, uint64(8), "with back-off")
		require.EqualValues(t, 1, w.volume("v1").Epoch, "the volume stays where it is")
	})
}

func TestDomain_refusals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, err := w.api.DefineDomain(t.Context(), api.DomainSpec{Name: "web", Driver: "exec",
			Exec: &api.ExecSpec{Command: []string{"guest"}}, Volumes: []api.DomainVolume{{Name: "v1"}},
			Hosts: []string{"h9"}})
		refusedWith(t, err, api.CodeNotFound, "h9")
		_, err = w.api.DefineDomain(t.Context(), api.DomainSpec{Name: "web", Driver: "vmware",
			Volumes: []api.DomainVolume{{Name: "v1"}}})
		refusedWith(t, err, api.CodeInvalid, "web", `"vmware" is unknown`, "exec")
		_, err = w.api.DefineDomain(t.Context(), api.DomainSpec{Name: "web", Driver: "exec",
			Exec: &api.ExecSpec{Command: []string{"guest"}}, Volumes: []api.DomainVolume{{Name: "v1"}},
			Machine: guest.Machine{VCPUs: 2}})
		refusedWith(t, err, api.CodeInvalid, "web", "vcpus", "the driver exec")
		_, err = w.api.DefineDomain(t.Context(), api.DomainSpec{Name: "web", Driver: "exec",
			Exec: &api.ExecSpec{Command: []string{"guest"}}, Volumes: []api.DomainVolume{{Name: "v1"}},
			Policy: guest.Policy{Restart: "sometimes"}})
		refusedWith(t, err, api.CodeInvalid, "web", "restart", "always or never")
		w.domain("web", "h1")
		_, err = w.api.StartDomain(t.Context(), "web", api.Wait{})
		refusedWith(t, err, api.CodeNotFound, "v1")
		_, err = w.api.FailoverDomain(t.Context(), "web", api.FailoverDomain{})
		refusedWith(t, err, api.CodeInvalid, "stopped")
		w.machines["h1"].kill()
		pass(5 * time.Second)
		_, err = w.api.StartDomain(t.Context(), "web", api.Wait{})
		refusedWith(t, err, api.CodeFailed, "h1 is down")
		_, err = w.api.StopDomain(t.Context(), "nope", api.Wait{})
		refusedWith(t, err, api.CodeNotFound, "nope")
	})
}

// TestNode_replaceUnderTheSameName is the third of the four jobs: a storage node dies with its disk,
// and a fresh machine takes its name and place.
func TestNode_replaceUnderTheSameName(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		_, _, err := w.raft.Apply(t.Context(), raft.Command{RaiseVersion: &raft.RaiseVersion{To: raft.VersionLatest}})
		require.NoError(t, err)
		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		old := w.machines["n2"].node
		w.machines["n2"].kill()
		pass(5 * time.Second)
		h, err := w.api.Health(t.Context())
		require.NoError(t, err)
		require.Equal(t, api.AtRisk, h.Status)

		refuse := w.api.ReplaceNode(t.Context(), "n2", api.ReplaceNode{New: "n2"}, nil)
		refusedWith(t, refuse, api.CodeNotFound, "n2")
		w.machines["h1"].slow.Store(true)
		w.add("n2", volume.NewNodeID(), raft.RoleStorage)
		pass(3 * time.Second)

		var seen []api.Operation
		err = w.api.ReplaceNode(t.Context(), "n2", api.ReplaceNode{New: "n2"}, func(o api.Operation) error {
			seen = append(seen, o)
			w.machines["h1"].slow.Store(len(seen) <= 10)
			return nil
		})
		require.NoError(t, err)
		last := seen[len(seen)-1]
		require.Equal(t, api.OperationDone, last.State)
		require.Equal(t, 1, last.LegsDone)
		require.EqualValues(t, 1, last.Progress)
		require.Equal(t, 0.25, seen[9].Progress, "as the engine's copy goes on")
		var again []api.Operation // whoever asked may not have heard the end
		err = w.api.ReplaceNode(t.Context(), "n2", api.ReplaceNode{New: "n2"}, func(o api.Operation) error {
			again = append(again, o)
			return nil
		})
		require.NoError(t, err)
		require.Len(t, again, 1)
		require.Equal(t, api.OperationDone, again[0].State)
		require.Contains(t, again[0].Message, old.ID.Short())
		for i := 1; i < len(seen); i++ {
			require.GreaterOrEqual(t, seen[i].Progress, seen[i-1].Progress)
		}

		v := w.volume("v1")
		require.Len(t, v.Legs, 2)
		nodes, err := w.api.Nodes(t.Context())
		require.NoError(t, err)
		require.Len(t, nodes, 5)
		for _, n := range nodes {
			require.NotEqual(t, old.ID.String(), n.ID)
		}
		h, err = w.api.Health(t.Context())
		require.NoError(t, err)
		require.Equal(t, api.Healthy, h.Status, h.Findings)

		w.machines["n2"].kill() // in its turn: whoever asks now does not mean the one before
		pass(5 * time.Second)
		refuse = w.api.ReplaceNode(t.Context(), "n2", api.ReplaceNode{New: "n2"}, nil)
		refusedWith(t, refuse, api.CodeNotFound, "no new node waits to take the name n2")
	})
}

// TestNode_removeMovesDetachedLegs: with nothing attached, a host maintains the volume.
func TestNode_removeMovesDetachedLegs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		ops := 0
		require.NoError(t, w.api.RemoveNode(t.Context(), "n2", api.Wait{},
			func(o api.Operation) error { ops++; return nil }))
		require.Positive(t, ops)
		v := w.volume("v1")
		where := []string{}
		for _, l := range v.Legs {
			require.Equal(t, volume.LegInSync, l.State)
			where = append(where, l.Node)
		}
		require.ElementsMatch(t, []string{"n1", "n3"}, where)
		require.Empty(t, w.machines["n2"].legs, "its data was deleted before it left")
	})
}

func TestHealth_withoutALeader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.raft.lead(false, volume.NodeID{})
		h, err := w.api.Health(t.Context())
		require.NoError(t, err)
		require.Equal(t, api.NoQuorum, h.Status)
		require.Equal(t, "no_quorum", h.Findings[0].Kind)
		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.Error(t, err)
	})
}

func TestWhy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		_, err := w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		w.machines["h1"].kill()
		pass(5 * time.Second)
		why, err := w.api.Why(t.Context(), "v1")
		require.NoError(t, err)
		require.Equal(t, "volume/v1", why.Object)
		require.Equal(t, api.Down, why.Status)
		require.Equal(t, "node/h1", why.Because[0].Because[0].Object, "%+v", why)
		require.NotNil(t, why.Because[0].Because[0].Since)
		require.NotNil(t, why.Because[0].Since, "since when, from the leader's history")
		require.Equal(t, "attached", why.Last.Kind)

		_, err = w.api.Why(t.Context(), "v9")
		refusedWith(t, err, api.CodeNotFound, "v9", "volume list")

		w.raft.lead(false, volume.NodeID{})
		why, err = w.api.Why(t.Context(), "cluster")
		require.NoError(t, err)
		require.Equal(t, api.NoQuorum, why.Status)
		require.Contains(t, why.Because[0].Says, "no coordinator leads")
	})
}

// TestEvents_follow: those that exist, then those to come, until the caller has enough.
func TestEvents_follow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var last uint64
		require.NoError(t, w.api.Events(t.Context(), 0, false, func(e api.Event) error {
			require.Greater(t, e.Seq, last)
			last = e.Seq
			return nil
		}))
		done := make(chan error, 1)
		go func() {
			done <- w.api.Events(t.Context(), last, true, func(e api.Event) error {
				if e.Kind == "volume_created" {
					return context.Canceled
				}
				return nil
			})
		}()
		w.create("v1")
		require.ErrorIs(t, <-done, context.Canceled)
	})
}
