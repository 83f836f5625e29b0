package leg_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// witnessed is a real store with a leg of four written blocks of which one does not match its checksum, as after a kill
// in the middle of a write; its witness names some of them.
type witnessed struct {
	dir, memory string
}

func newWitnessed(t *testing.T, named block.Range) witnessed {
	t.Helper()
	memory, err := os.MkdirTemp("/dev/shm", "holdfast-test-")
	if err != nil {
		t.Skipf("there is no directory in memory: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(memory)) })
	w := witnessed{t.TempDir(), memory}
	require.NoError(t, leg.InitStore(leg.OSFS(w.dir), testStore, testNode))
	store := w.open(t, "boot 1")
	require.NoError(t, store.Provision(testSpec()))
	require.NoError(t, configured(t, openLeg(t, store), 1).Write(t.Context(), pattern(1, 4), 0, 0))
	require.NoError(t, store.Close())

	data, err := os.OpenFile(filepath.Join(w.dir, "legs", testSpec().Leg.String(), "data"), os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = data.WriteAt([]byte("torn"), 2*volume.BlockBytes+600)
	require.NoError(t, err)
	require.NoError(t, data.Close())

	file, err := os.OpenFile(filepath.Join(memory, testStore.String()+".witness"), os.O_RDWR, 0)
	require.NoError(t, err)
	id := testSpec().Leg.UUID
	place := make([]byte, 0, 32)
	for _, word := range []uint64{binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]),
		uint64(named.Off / volume.BlockBytes), uint64(named.Len / volume.BlockBytes)} {
		place = binary.NativeEndian.AppendUint64(place, word)
	}
	_, err = file.WriteAt(place, 4*8)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return w
}

func (w witnessed) open(t *testing.T, boot string) *leg.Store {
	t.Helper()
	store, err := leg.OpenStore(leg.OSFS(w.dir), leg.StoreOptions{BootID: boot, Instance: 7})
	require.NoError(t, err)
	require.NoError(t, store.KeepWitness(w.memory))
	return store
}

// A block that the witness names was under way: it is settled in this boot, also for who only looks, and lost its
// cache in another. One that it does not name proves a loss.
func TestWitness_ofAStore(t *testing.T) {
	for name, c := range map[string]struct {
		named block.Range
		boot  string
		lossy bool
		state leg.BlockState // of the block
	}{
		"named":            {block.Range{Off: 4096, Len: 2 * 4096}, "boot 1", false, leg.BlockGood},
		"another is named": {block.Range{Off: 4096, Len: 4096}, "boot 1", true, leg.BlockMismatch},
		"another boot":     {block.Range{Off: 4096, Len: 2 * 4096}, "boot 2", true, leg.BlockMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWitnessed(t, c.named)
			looker, err := leg.OpenReadOnly(w.dir, c.boot)
			require.NoError(t, err)
			looked, err := looker.Leg(t.Context(), testSpec().Leg)
			require.NoError(t, err)
			require.Equal(t, c.lossy, looked.Lossy)
			require.Equal(t, c.state, states(t, looked)[2])
			sums := make([]byte, 4*4)
			require.NoError(t, looked.Sums(t.Context(), block.Range{Len: 4 * volume.BlockBytes}, sums))
			require.Equal(t, c.boot == "boot 1", binary.BigEndian.Uint32(sums[4:]) == 1, "block 1 was under way")
			require.NoError(t, looked.Close())
			require.NoError(t, looker.Close())

			store := w.open(t, c.boot)
			s := login(t, openLeg(t, store), 2)
			report, err := s.Report()
			require.NoError(t, err)
			require.Equal(t, c.lossy, report.Lossy)
			require.NoError(t, s.Config(t.Context(), 2, config(2)))
			err = s.Read(t.Context(), make([]byte, testSize), 0)
			if c.lossy {
				require.ErrorIs(t, err, block.ErrMedium)
			} else {
				require.NoError(t, err)
			}
			require.NoError(t, store.Close())
		})
	}
}

// What was settled is not under way any more: when the same block rots, it is not believed.
func TestWitness_isForgottenOnceItWasHeard(t *testing.T) {
	w := newWitnessed(t, block.Range{Off: 2 * 4096, Len: 4096})
	store := w.open(t, "boot 1")
	configured(t, openLeg(t, store), 2)
	require.NoError(t, store.Close())
	data, err := os.OpenFile(filepath.Join(w.dir, "legs", testSpec().Leg.String(), "data"), os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = data.WriteAt([]byte("rotten"), 2*volume.BlockBytes+600)
	require.NoError(t, err)
	require.NoError(t, data.Close())
	store = w.open(t, "boot 1")
	report, err := login(t, openLeg(t, store), 3).Report()
	require.NoError(t, err)
	require.True(t, report.Lossy)
	require.NoError(t, store.Close())
}
