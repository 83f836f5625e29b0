package leg_test

import (
	"bytes"
	"math/rand/v2"
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
