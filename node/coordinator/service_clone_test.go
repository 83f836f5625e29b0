package coordinator

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// inCloneWorld is a world of the version that has clones, with two volumes that h1 has attached.
func inCloneWorld(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		_, _, err := w.raft.Apply(t.Context(), raft.Command{RaiseVersion: &raft.RaiseVersion{To: raft.VersionLatest}})
		require.NoError(t, err)
		for _, name := range []string{"a", "b"} {
			w.create(name)
			_, err := w.api.AttachVolume(t.Context(), name, api.AttachVolume{Host: "h1"})
			require.NoError(t, err)
		}
		pass(time.Second)
		test(t, w)
	})
}

func (w *world) names() []string {
	state, _ := w.raft.State()
	var names []string
	for _, v := range state.SortedVolumes() {
		names = append(names, v.Name)
	}
	return names
}

func TestClone_toItsCut(t *testing.T) {
	inCloneWorld(t, func(t *testing.T, w *world) {
		seconds := int64(7200)
		_, err := w.api.SetVolume(t.Context(), "a", api.SetVolume{ScrubEverySeconds: &seconds})
		require.NoError(t, err)
		r := api.CloneVolumes{Request: volume.NewUUID().String(), RateBytes: 1 << 20, Clones: []api.NewClone{
			{Source: "a", Name: "a2"},
			{Source: "b", Name: "b2", Layout: "mirror=1", Durability: "sync", LegsOn: []string{"n3"}}}}
		h1 := w.machines["h1"]
		var last api.Operation
		half := false
		err = w.api.CloneVolumes(t.Context(), r, func(o api.Operation) error {
			last = o
			if o.Progress != 0.5 || half {
				return nil
			}
			half = true
			require.Contains(t, o.Message, "a2, b2: filled beside the guest, 1 GiB left")
			v := w.volume("a2")
			require.Equal(t, api.CloneFilling, v.State)
			require.True(t, v.Attachment.Filling)
			require.Equal(t, "h1", v.Attachment.Host)
			require.Equal(t, api.Healthy, v.Health)
			source := w.volume("a")
			require.Nil(t, source.Clone)
			require.Equal(t, &api.Clone{Source: "a", SourceID: source.ID, Group: r.Request, State: api.CloneFilling,
				Progress: 0.5, RestBytes: 1 << 29, RateBytes: 1 << 20}, v.Clone)
			operations, err := w.api.Operations(t.Context())
			require.NoError(t, err)
			require.Len(t, operations, 1, "one of both")
			require.Equal(t, "clone-volume-a2", operations[0].ID)
			health, err := w.api.Health(t.Context())
			require.NoError(t, err)
			require.Equal(t, api.Healthy, health.Status, health.Findings)
			_, err = w.api.AttachVolume(t.Context(), "a2", api.AttachVolume{Host: "h1"})
			refusedWith(t, err, api.CodeBusy, "is being filled with what a holds")
			err = w.api.ScrubVolume(t.Context(), "a2", api.ScrubVolume{}, ignored)
			refusedWith(t, err, api.CodeBusy, "being filled")
			require.NoError(t, w.api.DetachVolume(t.Context(), "a2", api.Wait{}), "nobody has it")
			h1.cuts.Store(true)
			return nil
		})
		require.NoError(t, err)
		require.True(t, half)
		require.Equal(t, api.OperationDone, last.State)
		require.Equal(t, 1.0, last.Progress)
		require.Contains(t, last.Message, "with the guest's file systems written back")
		for name, layout := range map[string]string{"a2": "mirror=2", "b2": "mirror=1"} {
			v := w.volume(name)
			require.Equal(t, "detached", v.State, "it is done when it is detached")
			require.Nil(t, v.Attachment)
			require.Equal(t, layout, v.Layout)
			require.Equal(t, api.CloneCut, v.Clone.State)
			require.Equal(t, 1.0, v.Clone.Progress)
			require.True(t, v.Clone.Frozen)
			require.NotNil(t, v.Clone.CutAt)
		}
		require.Equal(t, "n3", w.volume("b2").Legs[0].Node)
		require.Equal(t, volume.Durability("sync"), w.volume("b2").Durability)
		require.Equal(t, volume.Durability("flush"), w.volume("a2").Durability)
		require.EqualValues(t, 7200, w.volume("a2").ScrubEverySeconds, "it is as its source")

		require.NoError(t, w.api.CloneVolumes(t.Context(), r, func(o api.Operation) error {
			last = o
			return nil
		}), "the same request is made once")
		require.Equal(t, api.OperationDone, last.State)
		require.Equal(t, []string{"a", "a2", "b", "b2"}, w.names())
		r.Request = ""
		refusedWith(t, w.api.CloneVolumes(t.Context(), r, ignored), api.CodeExists, "a2", "a clone of volume a, cut at")
		_, err = w.api.AttachVolume(t.Context(), "a2", api.AttachVolume{Host: "h2"})
		require.NoError(t, err)
	})
}

// TestClone_isWatchedAgain: the same command joins what is being filled, one that asks for anything else does not.
func TestClone_isWatchedAgain(t *testing.T) {
	inCloneWorld(t, func(t *testing.T, w *world) {
		two := []api.NewClone{{Source: "a", Name: "a2"}, {Source: "b", Name: "b2"}}
		r := api.CloneVolumes{Clones: two, Wait: api.Wait{NoWait: true}}
		require.NoError(t, w.api.CloneVolumes(t.Context(), r, ignored))
		r.NoWait = false
		gone := errors.New("the caller is gone")
		require.ErrorIs(t, w.api.CloneVolumes(t.Context(), r, func(api.Operation) error { return gone }), gone)
		require.Equal(t, []string{"a", "a2", "b", "b2"}, w.names())

		for name, other := range map[string][]api.NewClone{
			"one of two":     two[:1],
			"another source": {{Source: "b", Name: "a2"}, {Source: "a", Name: "b2"}},
			"another layout": {two[0], {Source: "b", Name: "b2", Layout: "mirror=1"}},
			"and one more":   {two[0], {Source: "b", Name: "b3"}},
		} {
			err := w.api.CloneVolumes(t.Context(), api.CloneVolumes{Clones: other}, ignored)
			require.Error(t, err, name)
			refusedWith(t, err, api.CodeExists, "exist")
		}
		require.Equal(t, []string{"a", "a2", "b", "b2"}, w.names())

		asked := false
		err := w.api.CloneVolumes(t.Context(), r, func(api.Operation) error {
			if asked {
				return nil
			}
			asked = true
			return w.api.DeleteVolume(t.Context(), "b2", api.Wait{})
		})
		refusedWith(t, err, api.CodeFailed, "b2 was deleted meanwhile")
		w.machines["h1"].cuts.Store(true)
		require.Eventually(t, func() bool { return w.volume("a2").State == "detached" }, time.Minute,
			100*time.Millisecond, "the other one of its group goes on")
	})
}

func TestClone_refusals(t *testing.T) {
	inCloneWorld(t, func(t *testing.T, w *world) {
		for _, name := range []string{"c", "f"} {
			w.create(name)
		}
		_, err := w.api.AttachVolume(t.Context(), "c", api.AttachVolume{Host: "h2"})
		require.NoError(t, err)
		require.NoError(t, w.api.CloneVolumes(t.Context(), api.CloneVolumes{Wait: api.Wait{NoWait: true},
			Clones: []api.NewClone{{Source: "a", Name: "filling"}}}, ignored))
		pass(time.Second)
		before := w.names()
		one := func(source, name string) []api.NewClone {
			return []api.NewClone{{Source: "b", Name: "first"}, {Source: source, Name: name}}
		}
		cases := map[string]struct {
			r    api.CloneVolumes
			code api.Code
			word string
		}{
			"none":        {api.CloneVolumes{}, api.CodeInvalid, "1 to 32"},
			"too many":    {api.CloneVolumes{Clones: make([]api.NewClone, 33)}, api.CodeInvalid, "1 to 32"},
			"request":     {api.CloneVolumes{Request: "7", Clones: one("a", "a2")}, api.CodeInvalid, "UUID"},
			"rate":        {api.CloneVolumes{RateBytes: -1, Clones: one("a", "a2")}, api.CodeInvalid, "rate"},
			"name":        {api.CloneVolumes{Clones: one("a", "A 2")}, api.CodeInvalid, "A 2"},
			"no source":   {api.CloneVolumes{Clones: one("z", "a2")}, api.CodeNotFound, "z"},
			"taken":       {api.CloneVolumes{Clones: one("a", "f")}, api.CodeExists, "f exists already"},
			"same name":   {api.CloneVolumes{Clones: one("a", "first")}, api.CodeInvalid, "first"},
			"same source": {api.CloneVolumes{Clones: one("b", "b3")}, api.CodeInvalid, "two clones of volume b"},
			"of a clone":  {api.CloneVolumes{Clones: one("filling", "x")}, api.CodeBusy, "itself being filled"},
			"two hosts":   {api.CloneVolumes{Clones: one("c", "c2")}, api.CodeBusy, "c on h2"},
			"layout": {api.CloneVolumes{Clones: []api.NewClone{{Source: "b", Name: "first"},
				{Source: "a", Name: "a2", Layout: "mirror=4"}}}, api.CodeFailed, "4 storage nodes"},
			"legs_on": {api.CloneVolumes{Clones: []api.NewClone{{Source: "a", Name: "a2", LegsOn: []string{"n1"}}}},
				api.CodeInvalid, "2 nodes"},
		}
		for name, c := range cases {
			err := w.api.CloneVolumes(t.Context(), c.r, ignored)
			require.Error(t, err, name)
			refusedWith(t, err, c.code, c.word)
			require.Equal(t, before, w.names(), name)
			require.Empty(t, w.c.reserved, name)
		}
	})
}

// TestClone_roomForAll: two that have room one by one and not together are refused before any is made.
func TestClone_roomForAll(t *testing.T) {
	inCloneWorld(t, func(t *testing.T, w *world) {
		n, err := w.api.Node(t.Context(), "n3")
		require.NoError(t, err)
		room := n.Stores[0].Promisable
		for _, name := range []string{"d", "e"} {
			_, err := w.api.CreateVolume(t.Context(), api.CreateVolume{Name: name, SizeBytes: room / 5 * 3 >> 12 << 12,
				Layout: "mirror=1", LegsOn: []string{map[string]string{"d": "n1", "e": "n2"}[name]}})
			require.NoError(t, err)
		}
		both := []api.NewClone{{Source: "d", Name: "d2", LegsOn: []string{"n3"}}, {Source: "e", Name: "e2",
			LegsOn: []string{"n3"}}}
		before := w.names()
		err = w.api.CloneVolumes(t.Context(), api.CloneVolumes{Clones: both}, ignored)
		refusedWith(t, err, api.CodeFailed, "e2", "free")
		require.Equal(t, before, w.names())
		require.NoError(t, w.api.CloneVolumes(t.Context(), api.CloneVolumes{Clones: both[1:],
			Wait: api.Wait{NoWait: true}}, ignored), "one has room")
	})
}

// TestClone_theSecondIsRefused: what others committed meanwhile takes the name of the second one.
func TestClone_theSecondIsRefused(t *testing.T) {
	inCloneWorld(t, func(t *testing.T, w *world) {
		w.raft.mu.Lock()
		w.raft.behind = func(c raft.Command) []raft.Command {
			if c.CreateVolume == nil || c.CreateVolume.Name != "a2" {
				return nil
			}
			taken := *c.CreateVolume
			taken.ID, taken.Name, taken.Clone = volume.NewID(), "b2", nil
			taken.Legs = slices.Clone(taken.Legs)
			for i := range taken.Legs {
				taken.Legs[i].ID = volume.LegID{UUID: volume.NewUUID()}
			}
			return []raft.Command{{CreateVolume: &taken}}
		}
		w.raft.mu.Unlock()
		err := w.api.CloneVolumes(t.Context(), api.CloneVolumes{Clones: []api.NewClone{{Source: "a", Name: "a2"},
			{Source: "b", Name: "b2"}}}, ignored)
		refusedWith(t, err, api.CodeExists, "volume b2 exists already",
			"volume a2, which had been made for it, is deleted")
		pass(5 * time.Second)
		require.Equal(t, []string{"a", "b", "b2"}, w.names())
		require.Nil(t, w.volume("b2").Clone)
		require.Empty(t, w.c.reserved)
	})
}

// TestClone_goesOnAfterALostAnswer: the leader is lost between the first and the second. The same request makes the
// second one, as does the same command.
func TestClone_goesOnAfterALostAnswer(t *testing.T) {
	inCloneWorld(t, func(t *testing.T, w *world) {
		lose := func(name string) {
			w.raft.mu.Lock()
			defer w.raft.mu.Unlock()
			w.raft.gate = func(_ context.Context, c raft.Command) (bool, error) {
				if c.CreateVolume != nil && c.CreateVolume.Name == name {
					return true, errors.New("lost")
				}
				return false, nil
			}
		}
		r := api.CloneVolumes{Request: volume.NewUUID().String(), Clones: []api.NewClone{{Source: "a", Name: "a2"},
			{Source: "b", Name: "b2"}}}
		lose("b2")
		refusedWith(t, w.api.CloneVolumes(t.Context(), r, ignored), api.CodeUnknown, "lost")
		require.Equal(t, []string{"a", "a2", "b"}, w.names())
		pass(5 * time.Second)
		require.Contains(t, w.volume("a2").Clone.Waits, "1 more of its group are to be made")
		lose("")
		w.machines["h1"].cuts.Store(true)
		require.NoError(t, w.api.CloneVolumes(t.Context(), r, ignored))

		r.Request, r.Clones = "", []api.NewClone{{Source: "a", Name: "a3"}, {Source: "b", Name: "b3"}}
		lose("b3")
		refusedWith(t, w.api.CloneVolumes(t.Context(), r, ignored), api.CodeUnknown, "lost")
		lose("")
		require.NoError(t, w.api.CloneVolumes(t.Context(), r, ignored), "another request that asks for the same")
		require.Equal(t, []string{"a", "a2", "a3", "b", "b2", "b3"}, w.names())
		require.Equal(t, w.volume("a3").Clone.CutAt, w.volume("b3").Clone.CutAt)
	})
}

func TestClone_needsTheClusterVersion(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("a")
		r := api.CloneVolumes{Clones: []api.NewClone{{Source: "a", Name: "a2"}}}
		refusedWith(t, w.api.CloneVolumes(t.Context(), r, ignored), api.CodeBusy, "cluster version 2")
		require.Equal(t, []string{"a"}, w.names())
	})
}

// TestClone_waitsForItsHost: a host of the release before fills nothing, and it is said.
func TestClone_waitsForItsHost(t *testing.T) {
	inCloneWorld(t, func(t *testing.T, w *world) {
		h1 := w.machines["h1"]
		h1.old.Store(true)
		h1.cuts.Store(true)
		pass(time.Second)
		told := false
		require.NoError(t, w.api.CloneVolumes(t.Context(), api.CloneVolumes{Clones: []api.NewClone{{Source: "a",
			Name: "a2"}}}, func(o api.Operation) error {
			if o.Message == "host h1 runs a release that fills no clones" {
				told = true
				require.Equal(t, o.Message, w.volume("a2").Clone.Waits)
				h1.old.Store(false)
			}
			return nil
		}))
		require.True(t, told)
	})
}
