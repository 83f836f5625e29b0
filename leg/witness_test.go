package leg

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// shmDir is a directory in memory, for this test.
func shmDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "holdfast-test-")
	if err != nil {
		t.Skipf("there is no directory in memory: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// openWitness opens a witness as a process of a boot does; it is closed with the test.
func openWitness(t *testing.T, path string, boot volume.UUID) *witness {
	t.Helper()
	memory, err := openMemory(path, witnessWords)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, memory.Close()) })
	return newWitness(memory, boot)
}

func blocksAt(first, blocks int64) block.Range {
	return block.Range{Off: first * volume.BlockBytes, Len: blocks * volume.BlockBytes}
}

// What is under way when a process ends, its successor finds, leg by leg, until it has opened the leg; in another boot
// there is nothing.
func TestWitness_tellsTheSuccessor(t *testing.T) {
	path, boot := filepath.Join(shmDir(t), "below", "witness"), volume.NewUUID()
	a, b := volume.NewLegID(), volume.NewLegID()
	dies := openWitness(t, path, boot)
	dies.begin(a, blocksAt(7, 2))
	over := dies.begin(a, blocksAt(1, 1))
	dies.begin(b, blocksAt(1<<40, 16384))
	dies.end(over)
	require.Empty(t, dies.leftOf(a), "it is no successor")

	next := openWitness(t, path, boot)
	require.Equal(t, []block.Range{blocksAt(7, 2)}, next.leftOf(a))
	place := next.begin(a, blocksAt(3, 1))
	require.Equal(t, []block.Range{blocksAt(7, 2)}, next.leftOf(a), "what it does itself is nobody's legacy")
	next.end(place)
	next.forget(a)
	require.Empty(t, next.leftOf(a))
	require.Equal(t, []block.Range{blocksAt(1<<40, 16384)}, next.leftOf(b))

	third := openWitness(t, path, boot)
	require.Empty(t, third.leftOf(a), "it was forgotten for good")
	require.Len(t, third.leftOf(b), 1, "nobody has opened that leg")

	later := openWitness(t, path, volume.NewUUID())
	require.Empty(t, later.leftOf(b))
	require.Empty(t, openWitness(t, path, boot).leftOf(b), "a witness of another boot was begun meanwhile")
}

// A witness has as many places as it has; who finds none announces its change elsewhere. What a process that
// died left takes places until it is forgotten.
func TestWitness_isFull(t *testing.T) {
	path, boot, id := filepath.Join(shmDir(t), "witness"), volume.NewUUID(), volume.NewLegID()
	w := openWitness(t, path, boot)
	places := map[int]bool{}
	for range witnessPlaces {
		places[w.begin(id, blocksAt(1, 1))] = true
	}
	require.Len(t, places, witnessPlaces)
	require.NotContains(t, places, noPlace)
	require.Equal(t, noPlace, w.begin(id, blocksAt(1, 1)))
	w.end(noPlace)

	next := openWitness(t, path, boot)
	require.Len(t, next.leftOf(id), witnessPlaces)
	require.Equal(t, noPlace, next.begin(id, blocksAt(1, 1)))
	next.forget(id)
	require.NotEqual(t, noPlace, next.begin(id, blocksAt(1, 1)))
}

func TestWitness_none(t *testing.T) {
	var w *witness
	id := volume.NewLegID()
	require.Equal(t, noPlace, w.begin(id, blocksAt(1, 1)))
	w.end(noPlace)
	w.forget(id)
	require.Empty(t, w.leftOf(id))
	require.NoError(t, w.close())
}

// A file on a disk is no memory, and none is made there. One of another size is made anew.
func TestMemory_onATmpfsAlone(t *testing.T) {
	path := filepath.Join(shmDir(t), "m")
	require.NoError(t, os.WriteFile(path, make([]byte, 100), 0o600))
	_, err := readMemory(path, 512)
	require.ErrorContains(t, err, "it has 100 bytes, not 4096")
	memory, err := openMemory(path, 512)
	require.NoError(t, err)
	require.Equal(t, 512, memory.Words())
	require.Zero(t, memory.Load(511))
	memory.Store(511, 1<<63)
	reader, err := readMemory(path, 512)
	require.NoError(t, err)
	require.Equal(t, uint64(1<<63), reader.Load(511))
	require.NoError(t, reader.Close())
	require.NoError(t, memory.Close())
	_, err = readMemory(path+"none", 512)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = openMemory(filepath.Join("/proc", "self", "m"), 512)
	require.ErrorIs(t, err, errNotInMemory)
}
