package coordinator

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestNode_drainAndUndrain empties a node that stays, and takes it into use again.
func TestNode_drainAndUndrain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		var last api.Operation
		require.NoError(t, w.api.DrainNode(t.Context(), "n2", api.Wait{},
			func(o api.Operation) error { last = o; return nil }))
		require.Equal(t, "drain", last.Verb)
		require.Equal(t, api.OperationDone, last.State)
		require.Equal(t, 1, last.LegsDone)
		for _, l := range w.volume("v1").Legs {
			require.Equal(t, volume.LegInSync, l.State)
			require.NotEqual(t, "n2", l.Node)
		}
		require.Empty(t, w.machines["n2"].legs, "its data was deleted")
		n, err := w.api.Node(t.Context(), "n2")
		require.NoError(t, err)
		require.Equal(t, api.NodeDrained, n.State)
		require.NoError(t, w.api.DrainNode(t.Context(), "n2", api.Wait{}, discard), "once more")

		// Of three storage nodes two are left: neither can be emptied.
		err = w.api.DrainNode(t.Context(), "n1", api.Wait{}, discard)
		refusedWith(t, err, api.CodeRefused, "volume v1 would be left with 1 of 2 legs")
		err = w.api.RemoveNode(t.Context(), "n1", api.Wait{}, discard)
		refusedWith(t, err, api.CodeRefused, "volume v1 would be left with 1 of 2 legs")

		kept, err := w.api.UndrainNode(t.Context(), "n2")
		require.NoError(t, err)
		require.Equal(t, api.NodeUp, kept.State)
		require.NoError(t, w.api.DrainNode(t.Context(), "n1", api.Wait{}, discard))
	})
}

// TestReplaceAfter_setAndShown: of the cluster, of a volume, never, and the default again.
func TestReplaceAfter_setAndShown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		require.Equal(t, api.ReplaceAfter{Seconds: 600, From: "default"}, w.volume("v1").ReplaceAfter)
		for _, c := range []struct {
			set  api.SetReplaceAfter
			want api.ReplaceAfter
		}{
			{api.SetReplaceAfter{Seconds: 60}, api.ReplaceAfter{Seconds: 60, From: "cluster"}},
			{api.SetReplaceAfter{Volume: "v1", Never: true}, api.ReplaceAfter{Never: true, From: "volume"}},
			{api.SetReplaceAfter{Volume: "v1"}, api.ReplaceAfter{Seconds: 60, From: "cluster"}},
			{api.SetReplaceAfter{}, api.ReplaceAfter{Seconds: 600, From: "default"}},
		} {
			got, err := w.api.SetReplaceAfter(t.Context(), c.set)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want, w.volume("v1").ReplaceAfter)
		}
		_, err := w.api.SetReplaceAfter(t.Context(), api.SetReplaceAfter{Seconds: 1})
		refusedWith(t, err, api.CodeInvalid, "10s")
		_, err = w.api.SetReplaceAfter(t.Context(), api.SetReplaceAfter{Volume: "nope", Seconds: 60})
		refusedWith(t, err, api.CodeNotFound, "nope")
	})
}

// TestVolume_createdTogetherNeverOverfillAStore: requests that come at the same time are decided one after
// the other.
func TestVolume_createdTogetherNeverOverfillAStore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const size = 20 << 30
		var made, refused int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				_, err := w.api.CreateVolume(t.Context(), api.CreateVolume{Name: fmt.Sprintf("v%d", i),
					SizeBytes: size, Layout: "mirror=3", Wait: api.Wait{NoWait: true}})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made++
				} else {
					refused++
				}
			})
		}
		all.Wait()
		n, err := w.api.Node(t.Context(), "n1")
		require.NoError(t, err)
		require.Len(t, n.Stores, 1)
		require.Positive(t, refused)
		require.EqualValues(t, n.Stores[0].FreeBytes/size, made)
	})
}

// discard watches work and keeps nothing of it.
func discard(api.Operation) error { return nil }
