package mirror

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// rot makes blocks of a leg unreadable and puts something else there.
func (l *memLeg) rot(blocks ...int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range blocks {
		l.bad[b] = true
		copy(l.data[b*BlockBytes:], pattern(uint64(b)+99, BlockBytes))
	}
}

// TestEngineHealsWhatRots: the guest never gets what rotted; what it reads is rewritten, and a scrub
// finds the rest.
func TestEngineHealsWhatRots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2)
		reports := make(chan ScrubReport, 4)
		r.engine.opts.Observer.Scrubbed = func(s ScrubReport) { reports <- s }
		r.attach()
		want := pattern(1, testSize)
		require.NoError(t, r.device.Write(t.Context(), want, 0, 0))
		r.legs[0].rot(3, 4, 100, 300)
		r.legs[1].rot(6, 200)

		got := make([]byte, 16*BlockBytes) // of which neither leg can read all
		for range 2 {
			require.NoError(t, r.device.Read(t.Context(), got, 0))
			require.Equal(t, want[:len(got)], got)
		}
		synctest.Wait()
		st := r.engine.Status()
		require.EqualValues(t, 2, st.Legs[0].Healed)
		require.EqualValues(t, 1, st.Legs[1].Healed)

		require.NoError(t, r.engine.Scrub(ScrubOrder{ID: 5, Rate: 4 << 20}))
		started := time.Now()
		s := <-reports
		require.InDelta(t, 0.5, time.Since(started).Seconds(), 0.1, "2 MiB at 4 MiB a second")
		require.True(t, s.Complete)
		require.EqualValues(t, testSize, s.Bytes)
		require.Equal(t, []ScrubbedLeg{{ID: r.legs[0].id, Bad: 2, Healed: 2}, {ID: r.legs[1].id, Bad: 1, Healed: 1}},
			s.Legs)
		r.equalLegs(want)
		require.Empty(t, r.legs[0].bad)
		require.Empty(t, r.legs[1].bad)

		// What both cannot read is an error of that block alone.
		r.legs[0].rot(7)
		r.legs[1].rot(7)
		require.ErrorIs(t, r.device.Read(t.Context(), got[:BlockBytes], 7*BlockBytes), block.ErrMedium)
		require.NoError(t, r.device.Read(t.Context(), got[:BlockBytes], 8*BlockBytes))
		require.EqualValues(t, 1, r.engine.Status().Unreadable)
	})
}

// TestEngineScrubEndsWithTheEngine: a detach ends a scrub, and its report says where the next one begins.
func TestEngineScrubEndsWithTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2)
		reports := make(chan ScrubReport, 4)
		r.engine.opts.Observer.Scrubbed = func(s ScrubReport) { reports <- s }
		require.Error(t, r.engine.Scrub(ScrubOrder{ID: 1, From: 512}))
		require.Error(t, r.engine.Scrub(ScrubOrder{ID: 1, From: testSize + BlockBytes}))
		r.attach()
		require.NoError(t, r.engine.Scrub(ScrubOrder{ID: 1, Rate: 256 << 10, From: 256 << 10}))
		time.Sleep(2500 * time.Millisecond) // virtual
		st := r.engine.Status()
		require.EqualValues(t, 1, st.ScrubID)
		require.EqualValues(t, testSize, st.ScrubTotal)
		require.Greater(t, st.ScrubDone, int64(512<<10))
		_, err := r.engine.Detach(context.Background())
		require.NoError(t, err)
		s := <-reports
		require.False(t, s.Complete)
		require.Equal(t, st.ScrubDone, s.Next)
		require.Equal(t, s.Next-s.From, s.Bytes)
		require.Greater(t, s.FinishedAt, s.StartedAt)
	})
}
