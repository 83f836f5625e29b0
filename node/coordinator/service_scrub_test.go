package coordinator

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// ignored is a watcher of progress that does not care.
func ignored(api.Operation) error { return nil }

func TestScrub_toItsEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		require.EqualValues(t, 30*24*3600, w.volume("v1").ScrubEverySeconds, "the default")
		err := w.api.ScrubVolume(t.Context(), "v1", api.ScrubVolume{}, ignored)
		refusedWith(t, err, api.CodeBusy, "attach it first")
		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		leg, err := volume.ParseUUID(w.volume("v1").Legs[0].ID)
		require.NoError(t, err)
		h1 := w.machines["h1"]
		h1.finds = raft.ScrubFound{Legs: []raft.ScrubbedLeg{{Leg: volume.LegID{UUID: leg}, Bad: 3, Healed: 2}},
			Diverged: 1, Ranges: []raft.ScrubRange{{Off: 4096, Len: 4096}}}

		request := api.ScrubVolume{Request: volume.NewUUID().String(), RateBytes: 1 << 20}
		var last api.Operation
		half := false
		err = w.api.ScrubVolume(t.Context(), "v1", request, func(o api.Operation) error {
			last = o
			if o.Progress == 0.5 && !half {
				half = true
				shown := w.volume("v1").Scrub
				require.True(t, shown.Running)
				require.Equal(t, 0.5, shown.Progress)
				require.EqualValues(t, 1<<20, shown.RateBytes)
				operations, err := w.api.Operations(t.Context())
				require.NoError(t, err)
				require.Equal(t, "scrub", operations[0].Verb)
				h1.scrubs.Store(true)
			}
			return nil
		})
		require.NoError(t, err)
		require.True(t, half)
		require.Equal(t, api.OperationDone, last.State)
		want := &api.ScrubResult{ID: 1, By: "operator", At: last.Scrub.At, FinishedAt: last.Scrub.FinishedAt,
			Complete: true, Bytes: 1 << 30, Bad: 3, Healed: 2, Diverged: 1, Legs: []api.ScrubbedLeg{
				{ID: leg.String(), Node: w.volume("v1").Legs[0].Node, Bad: 3, Healed: 2}},
			Ranges: []api.ByteRange{{Offset: 4096, Length: 4096}}}
		require.Equal(t, want, last.Scrub)
		require.False(t, last.Scrub.Clean())

		v := w.volume("v1")
		require.Nil(t, v.Scrub)
		require.Equal(t, want, v.LastScrub)
		require.Equal(t, api.AtRisk, v.Health)
		require.NoError(t, w.api.ScrubVolume(t.Context(), "v1", request, func(o api.Operation) error {
			require.EqualValues(t, 1, o.Scrub.ID, "the same request is the same scrub")
			return nil
		}))
		h1.finds = raft.ScrubFound{}
		require.NoError(t, w.api.ScrubVolume(t.Context(), "v1", api.ScrubVolume{}, func(o api.Operation) error {
			last = o
			return nil
		}))
		require.EqualValues(t, 2, last.Scrub.ID)
		require.True(t, last.Scrub.Clean())
		require.Equal(t, api.Healthy, w.volume("v1").Health)
	})
}

func TestScrub_joinAndStop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		_, err := w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		none, err := w.api.StopScrub(t.Context(), "v1")
		require.NoError(t, err)
		require.Nil(t, none)

		start := api.ScrubVolume{Wait: api.Wait{NoWait: true}}
		require.NoError(t, w.api.ScrubVolume(t.Context(), "v1", start, ignored))
		joined := make(chan api.Operation, 1)
		go func() {
			var last api.Operation
			_ = w.api.ScrubVolume(t.Context(), "v1", api.ScrubVolume{}, func(o api.Operation) error { // told by last
				last = o
				return nil
			})
			joined <- last
		}()
		gone := errors.New("the caller is gone")
		err = w.api.ScrubVolume(t.Context(), "v1", api.ScrubVolume{}, func(api.Operation) error { return gone })
		require.ErrorIs(t, err, gone)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.Error(t, w.api.ScrubVolume(ctx, "v1", api.ScrubVolume{}, ignored))
		require.EqualValues(t, 1, w.volume("v1").Scrub.ID, "one scrub, whoever watches")

		stopped, err := w.api.StopScrub(t.Context(), "v1")
		require.NoError(t, err)
		require.EqualValues(t, 1, stopped.ID)
		require.False(t, stopped.Complete)
		last := <-joined
		require.Equal(t, api.OperationDone, last.State)
		require.Equal(t, stopped, last.Scrub)
		require.Equal(t, stopped, w.volume("v1").StoppedScrub)
	})
}

func TestScrub_detachedMeanwhile(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		_, err := w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		asked := false
		err = w.api.ScrubVolume(t.Context(), "v1", api.ScrubVolume{}, func(api.Operation) error {
			if !asked {
				asked = true
				return w.api.DetachVolume(t.Context(), "v1", api.Wait{})
			}
			return nil
		})
		refusedWith(t, err, api.CodeFailed, "detached", "--stop")
		require.False(t, w.volume("v1").Scrub.Running)

		w.machines["h2"].scrubs.Store(true) // it goes on wherever the volume is attached
		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h2"})
		require.NoError(t, err)
		require.Eventually(t, func() bool { return w.volume("v1").LastScrub != nil }, time.Minute, 100*time.Millisecond)
	})
}

func TestScrub_refusals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		refusedWith(t, w.api.ScrubVolume(t.Context(), "v9", api.ScrubVolume{}, ignored), api.CodeNotFound, "v9")
		err := w.api.ScrubVolume(t.Context(), "v1", api.ScrubVolume{Request: "x"}, ignored)
		refusedWith(t, err, api.CodeInvalid, "x")
		_, err = w.api.StopScrub(t.Context(), "v9")
		refusedWith(t, err, api.CodeNotFound, "v9")
		for seconds, ok := range map[int64]bool{-1: false, 60: false, 1 << 60: false, 0: true, 3600: true} {
			_, err := w.api.CreateVolume(t.Context(), api.CreateVolume{Name: "v2", SizeBytes: 1 << 20,
				Layout: "mirror=2", ScrubEverySeconds: &seconds})
			if !ok {
				refusedWith(t, err, api.CodeInvalid, "v2")
				continue
			}
			require.NoError(t, err)
			require.Equal(t, seconds, w.volume("v2").ScrubEverySeconds)
			require.NoError(t, w.api.DeleteVolume(t.Context(), "v2", api.Wait{}))
		}
	})
}

// TestVolume_scheduleIsSet: the schedule of a volume that exists is changed by the rules of its making, alone.
func TestVolume_scheduleIsSet(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		for seconds, ok := range map[int64]bool{-1: false, 60: false, 1 << 60: false, 0: true, 3600: true} {
			v, err := w.api.SetVolume(t.Context(), "v1", api.SetVolume{ScrubEverySeconds: &seconds})
			if !ok {
				refusedWith(t, err, api.CodeInvalid, "v1")
				continue
			}
			require.NoError(t, err)
			require.Equal(t, seconds, v.ScrubEverySeconds)
			require.Equal(t, seconds, w.volume("v1").ScrubEverySeconds)
		}
		seconds := int64(7200)
		_, err := w.api.SetVolume(t.Context(), "v1", api.SetVolume{ScrubEverySeconds: &seconds,
			Export: &api.SetExport{Kind: "iscsi"}})
		refusedWith(t, err, api.CodeInvalid, "at once")
		require.NotEqual(t, seconds, w.volume("v1").ScrubEverySeconds)
	})
}
