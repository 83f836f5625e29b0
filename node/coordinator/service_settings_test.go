package coordinator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestVolume_limitIsSetAndShown: at its creation, in part, not at all; and the engine's ticket has it.
func TestVolume_limitIsSetAndShown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		require.Equal(t, api.Limit{BurstSeconds: 1}, w.volume("v1").Limit)
		one := func(n int64) *int64 { return &n }
		burst := func(s float64) *float64 { return &s }
		for _, c := range []struct {
			set  api.SetLimit
			want api.Limit
		}{
			{api.SetLimit{IOPS: one(500)}, api.Limit{IOPS: 500, BurstSeconds: 1}},
			{api.SetLimit{BandwidthBytes: one(50 << 20)},
				api.Limit{IOPS: 500, BandwidthBytes: 50 << 20, BurstSeconds: 1}},
			{api.SetLimit{IOPS: one(0), BurstSeconds: burst(0.1)},
				api.Limit{BandwidthBytes: 50 << 20, BurstSeconds: 0.1}},
			{api.SetLimit{BurstSeconds: burst(0)}, api.Limit{BandwidthBytes: 50 << 20, BurstSeconds: 1}},
		} {
			got, err := w.api.SetVolume(t.Context(), "v1", api.SetVolume{Limit: &c.set})
			require.NoError(t, err)
			require.Equal(t, c.want, got.Limit)
			require.Equal(t, c.want, w.volume("v1").Limit)
		}
		for _, set := range []api.SetVolume{{}, {Limit: &api.SetLimit{}}} {
			_, err := w.api.SetVolume(t.Context(), "v1", set)
			refusedWith(t, err, api.CodeInvalid, "nothing is to be changed")
		}
		_, err := w.api.SetVolume(t.Context(), "v1", api.SetVolume{Limit: &api.SetLimit{IOPS: one(1)}})
		refusedWith(t, err, api.CodeInvalid, "a limit of 1 requests a second")
		_, err = w.api.SetVolume(t.Context(), "v1", api.SetVolume{Limit: &api.SetLimit{BurstSeconds: burst(-1)}})
		refusedWith(t, err, api.CodeInvalid, "no time")
		_, err = w.api.SetVolume(t.Context(), "nope", api.SetVolume{Limit: &api.SetLimit{IOPS: one(10)}})
		refusedWith(t, err, api.CodeNotFound, "nope")

		made := api.CreateVolume{Name: "v2", SizeBytes: 1 << 30, Layout: "mirror=2",
			Limit: &api.SetLimit{IOPS: one(3)}}
		_, err = w.api.CreateVolume(t.Context(), made)
		refusedWith(t, err, api.CodeInvalid, "a limit of 3 requests a second")
		made.Limit = &api.SetLimit{IOPS: one(300), BurstSeconds: burst(5)}
		v, err := w.api.CreateVolume(t.Context(), made)
		require.NoError(t, err)
		require.Equal(t, api.Limit{IOPS: 300, BurstSeconds: 5}, v.Limit)
		_, err = w.api.AttachVolume(t.Context(), "v2", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		state, _ := w.raft.State()
		ticket := BuildTicket(state, state.VolumeByName("v2"), time.Second)
		require.Equal(t, volume.Limit{IOPS: 300, Burst: 5 * time.Second}, ticket.Limit)
	})
}
