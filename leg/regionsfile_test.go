package leg_test

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

func regionsPath() string { return "legs/" + testSpec().Leg.String() + "/regions" }

// rotRegions changes a byte of a sector of the region file, on the medium too.
func rotRegions(t *testing.T, fsys leg.FS, sector int64) {
	t.Helper()
	file, err := fsys.Open(regionsPath())
	require.NoError(t, err)
	_, err = file.WriteAt([]byte{0xff}, sector*leg.RegionSectorBytes+200)
	require.NoError(t, err)
	require.NoError(t, file.Sync())
	require.NoError(t, file.Close())
}

// A mark sector that rotted makes the leg lossy, also when the process that finds it dies at any
// moment of its start.
func TestOpenLeg_damagedMarksAreNeverForgotten(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for cut := 0; ; cut++ {
		fsys := newMemFS()
		store := newStore(t, fsys)
		require.NoError(t, configured(t, openLeg(t, store), 1).Write(t.Context(), make([]byte, 4096), 0, 0))
		require.NoError(t, store.Close())
		rotRegions(t, fsys, 1)

		store = openStore(t, fsys, "boot 1")
		fsys.cutAt = fsys.ops + cut + 1
		_, err := store.OpenLeg(testSpec().Leg)
		for range 8 {
			after := openStore(t, fsys.powerCut(rng), "boot 1") // as if the cache had been kept
			s := login(t, openLeg(t, after), 1)
			report, err := s.Report()
			require.NoError(t, err)
			require.True(t, report.Lossy, "start cut before operation %d", cut)
			page, err := s.Marks(99, 0)
			require.NoError(t, err)
			require.Equal(t, []inband.Run{{First: 0, Count: page.Regions, Marked: true}}, page.Runs)
			require.NoError(t, after.Close())
		}
		if err == nil {
			require.Greater(t, cut, 2)
			return
		}
	}
}

// A version sector that rotted makes its regions newer than anything, and costs nothing else.
func TestOpenLeg_damagedVersionsAreNew(t *testing.T) {
	fsys := newMemFS()
	store := newStore(t, fsys)
	s := configured(t, openLeg(t, store), 7)
	require.NoError(t, s.Write(t.Context(), bytes.Repeat([]byte{1}, 4096), 0, 0))
	gen, _, err := s.Rotate()
	require.NoError(t, err)
	require.NoError(t, s.Stable(t.Context(), gen))
	require.NoError(t, store.Close())
	rotRegions(t, fsys, 2)
	s = login(t, openLeg(t, openStore(t, fsys, "boot 2")), 7)
	report, err := s.Report()
	require.NoError(t, err)
	require.False(t, report.Lossy)
	require.True(t, report.Label.Marked)
	page, err := s.Versions(6, 0)
	require.NoError(t, err)
	require.Equal(t, []volume.VersionRun{{First: 0, Count: page.Regions, Version: 7}}, page.Runs)
	require.NoError(t, s.Config(t.Context(), 7, config(9)))
	page, err = s.Versions(8, 0)
	require.NoError(t, err)
	require.Equal(t, []volume.VersionRun{{First: 0, Count: page.Regions, Version: 9}}, page.Runs,
		"what it was is not known, so each CONFIG counts as its last write")
}

// A mark that cannot be made durable fails the leg for good, before the data.
func TestWrite_markThatFails(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		fsys := newMemFS()
		l := openLeg(t, newStore(t, fsys))
		s := configured(t, l, 1)
		fsys.setHook(func(did, path string) error {
			if did == op && path == regionsPath() {
				return syscall.EIO
			}
			require.NotEqual(t, "legs/"+l.ID().String()+"/data", path, "the data is not touched")
			return nil
		})
		require.ErrorIs(t, s.Write(t.Context(), make([]byte, 4096), 0, 0), block.ErrFailed)
		require.ErrorContains(t, l.Status().Failed, "regions durable")
		fsys.setHook(nil)
		require.ErrorIs(t, s.Write(t.Context(), make([]byte, 4096), 0, 0), block.ErrFailed, "no second try")
	}
}

// A region that is marked costs a write nothing: the region file is not touched until the window turns.
func TestWrite_markedRegionCostsNothing(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, newStore(t, fsys)), 1)
	require.NoError(t, s.Write(t.Context(), make([]byte, 4096), 0, 0))
	fsys.setHook(func(op, path string) error {
		require.NotEqual(t, regionsPath(), path)
		return nil
	})
	for range 5 {
		require.NoError(t, s.Write(t.Context(), make([]byte, 4096), 8192, 0))
	}
	_, _, err := s.Rotate()
	require.NoError(t, err)
	require.NoError(t, s.Write(t.Context(), make([]byte, 4096), 4096, 0), "the mark is there still")
}
