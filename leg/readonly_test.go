package leg_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

func openReadOnly(t *testing.T, dir, boot string) *leg.ReadOnlyStore {
	t.Helper()
	s, err := leg.OpenReadOnly(dir, boot)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func readOnlyLeg(t *testing.T, s *leg.ReadOnlyStore) *leg.ReadOnlyLeg {
	t.Helper()
	l, err := s.Leg(t.Context(), testSpec().Leg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// states reads a leg whole and returns the state of each block that is not a good one of zeroes.
func states(t *testing.T, l *leg.ReadOnlyLeg) map[int64]leg.BlockState {
	t.Helper()
	found := map[int64]leg.BlockState{}
	require.NoError(t, l.Blocks(t.Context(), block.Range{Len: testSize}, func(b leg.ReadOnlyBlock) error {
		found[b.Number] = b.State
		return nil
	}))
	return found
}

func TestReadOnly_sharesTheLockWithReadersOnly(t *testing.T) {
	dir := t.TempDir()
	node := newStore(t, leg.OSFS(dir))
	_, err := leg.OpenReadOnly(dir, "boot 1")
	require.ErrorIs(t, err, leg.ErrInUse)
	require.ErrorContains(t, err, testStore.String())
	require.ErrorContains(t, err, testNode.String())
	require.NoError(t, node.Close())

	first, err := leg.OpenReadOnly(dir, "boot 1")
	require.NoError(t, err)
	second := openReadOnly(t, dir, "boot 1")
	require.Equal(t, testStore, second.ID())
	_, err = leg.OpenStore(leg.OSFS(dir), leg.StoreOptions{BootID: "boot 1"})
	require.ErrorIs(t, err, leg.ErrInUse, "a node waits for the readers")
	require.NoError(t, first.Close())
}

func TestReadOnly_needsNoLockFileAndNoIdentity(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, newStore(t, leg.OSFS(dir)).Close())
	require.NoError(t, os.Remove(filepath.Join(dir, "lock")))
	require.NoError(t, os.Remove(filepath.Join(dir, "store.json")))
	s := openReadOnly(t, dir, "boot 1")
	require.ErrorIs(t, s.Damage(), leg.ErrNoStore)
	legs, err := s.List()
	require.NoError(t, err)
	require.Len(t, legs, 1)
	require.NoError(t, readOnlyLeg(t, s).Problem)
	require.NoFileExists(t, filepath.Join(dir, "lock"))
}

func TestReadOnly_blocksAndMarks(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t, leg.OSFS(dir))
	session := configured(t, openLeg(t, store), 1)
	for _, off := range []int64{0, 8192, 16384} {
		require.NoError(t, session.Write(t.Context(), bytes.Repeat([]byte{1}, 4096), off, 0))
	}
	require.NoError(t, store.Close())
	files := filepath.Join(dir, "legs", testSpec().Leg.String())
	underWay, err := os.OpenFile(filepath.Join(files, "checksums"), os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = underWay.WriteAt([]byte{0, 0, 0, 1}, 4096+2*4)
	require.NoError(t, err)
	require.NoError(t, underWay.Close())

	here := readOnlyLeg(t, openReadOnly(t, dir, "boot 1"))
	require.True(t, here.Marked && here.RegionMarked(0))
	require.Equal(t, 1, here.MarkedRegions())
	require.False(t, here.Lossy, "a process died in this boot")
	require.Equal(t, map[int64]leg.BlockState{0: leg.BlockGood, 2: leg.BlockGood, 4: leg.BlockGood}, states(t, here))

	there := readOnlyLeg(t, openReadOnly(t, dir, "boot 2"))
	require.True(t, there.Lossy, "another boot: its cache is gone")
	require.Equal(t, map[int64]leg.BlockState{0: leg.BlockGood, 2: leg.BlockUnderWay, 4: leg.BlockGood},
		states(t, there))
	sums := make([]byte, 3*4)
	require.NoError(t, there.Sums(t.Context(), block.Range{Len: 3 * volume.BlockBytes}, sums))
	require.Equal(t, []byte{0, 0, 0, 1}, sums[8:])
	require.Error(t, there.Sums(t.Context(), block.Range{Len: volume.BlockBytes}, sums))

	data := filepath.Join(files, "data")
	text, err := os.ReadFile(data)
	require.NoError(t, err)
	text[16384] ^= 1
	require.NoError(t, os.WriteFile(data, text, 0o600))
	torn := readOnlyLeg(t, openReadOnly(t, dir, "boot 1"))
	require.True(t, torn.Lossy, "more than the process was lost")
	require.Equal(t, leg.BlockMismatch, states(t, torn)[4])
}

func TestReadOnly_whatIsNoStore(t *testing.T) {
	_, err := leg.OpenReadOnly(t.TempDir(), "boot 1")
	require.ErrorIs(t, err, leg.ErrNoStore)
	_, err = openReadOnlyLost(t)
	var lost *leg.LostError
	require.ErrorAs(t, err, &lost)
}

func openReadOnlyLost(t *testing.T) (*leg.ReadOnlyLeg, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, newStore(t, leg.OSFS(dir)).Close())
	return openReadOnly(t, dir, "boot 1").Leg(t.Context(), volume.NewLegID())
}
