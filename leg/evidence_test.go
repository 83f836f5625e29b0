package leg_test

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// rot makes the slot of a leg's label unreadable that a power cut would leave as the newest.
func rot(t *testing.T, fsys leg.FS, id volume.LegID) {
	t.Helper()
	file, err := fsys.Open("legs/" + id.String() + "/label")
	require.NoError(t, err)
	var labels [2]volume.Label
	for slot := range labels {
		buf := make([]byte, volume.LabelBytes)
		_, err := file.ReadAt(buf, int64(slot)*4096)
		require.NoError(t, err)
		labels[slot], err = volume.ParseLabel(buf)
		require.NoError(t, err)
	}
	newest := int64(0)
	if labels[1].SlotSeq > labels[0].SlotSeq {
		newest = 1
	}
	_, err = file.WriteAt([]byte{0xff}, newest*4096+300)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// The slot that said "marked" is rotten and the older one knows of no mark: what it says of the cache
// proves nothing.
func TestOpenLeg_oneSlotIsNoEvidenceOfAKeptCache(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, newStore(t, fsys)), 1)
	require.NoError(t, s.Write(t.Context(), bytes.Repeat([]byte{1}, 4096), 0, 0))
	after := fsys.powerCut(rand.New(rand.NewPCG(1, 1)))
	rot(t, after, testSpec().Leg)
	store := openStore(t, after, "boot 2")
	report, err := login(t, openLeg(t, store), 1).Report()
	require.NoError(t, err)
	require.True(t, report.Lossy)
	require.NoError(t, store.Close())
	report, err = login(t, openLeg(t, openStore(t, after, "boot 2")), 1).Report()
	require.NoError(t, err)
	require.True(t, report.Lossy, "both slots are whole again, and say so")
}

// The kernel tells of a write-back error once. Whoever hears it must remember it for every leg of the
// file system, also for those that it does not open itself.
func TestOpenLeg_remembersAWriteBackErrorForAllLegs(t *testing.T) {
	fsys := newMemFS()
	store := newStore(t, fsys)
	second := testSpec()
	second.Leg = volume.LegID{UUID: volume.UUID{15: 30}}
	require.NoError(t, store.Provision(second))
	for _, id := range []volume.LegID{testSpec().Leg, second.Leg} {
		l, err := store.OpenLeg(id)
		require.NoError(t, err)
		require.NoError(t, configured(t, l, 1).Write(t.Context(), make([]byte, 4096), 0, 0))
	}
	require.NoError(t, store.Close())

	fsys.syncAll = syscall.EIO
	store = openStore(t, fsys, "boot 1")
	openLeg(t, store)
	fsys.syncAll = nil
	require.NoError(t, store.Close(), "the process ends before it opened the other leg")

	l, err := openStore(t, fsys, "boot 1").OpenLeg(second.Leg)
	require.NoError(t, err)
	report, err := login(t, l, 1).Report()
	require.NoError(t, err)
	require.True(t, report.Lossy)
}

// While a leg is closed nobody holds its data open, so nobody hears of its errors but who asks.
func TestOpenLeg_asksForWriteBackErrorsEachTime(t *testing.T) {
	fsys := newMemFS()
	store := newStore(t, fsys)
	l := openLeg(t, store)
	require.NoError(t, configured(t, l, 1).Write(t.Context(), make([]byte, 4096), 0, 0))
	require.NoError(t, l.Close())
	l = openLeg(t, store)
	report, err := login(t, l, 1).Report()
	require.NoError(t, err)
	require.False(t, report.Lossy)
	require.NoError(t, l.Close())
	fsys.syncAll = syscall.EIO
	report, err = login(t, openLeg(t, store), 1).Report()
	require.NoError(t, err)
	require.True(t, report.Lossy)
}
