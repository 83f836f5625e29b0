package leg

import (
	"errors"
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

// openWitness opens a witness as a process of a boot does, whose store has these legs. Only one may be open.
func openWitness(t *testing.T, path string, boot volume.UUID, legs ...volume.LegID) *witness {
	t.Helper()
	memory, err := openMemory(path, witnessWords)
	require.NoError(t, err)
	return newWitness(memory, boot, legs)
}

func blocksAt(first, blocks int64) block.Range {
	return block.Range{Off: first * volume.BlockBytes, Len: blocks * volume.BlockBytes}
}

// What is under way when a process ends, its successor finds, leg by leg, until it has opened the leg; in another boot
// there is nothing.
func TestWitness_tellsTheSuccessor(t *testing.T) {
	path, boot := filepath.Join(shmDir(t), "below", "witness"), volume.NewUUID()
	a, b := volume.NewLegID(), volume.NewLegID()
	dies := openWitness(t, path, boot, a, b)
	dies.begin(a, 1<<32+3, blocksAt(7, 2))
	over := dies.begin(a, 3, blocksAt(1, 1))
	dies.begin(b, 1, blocksAt(1<<40, 16384))
	dies.begin(volume.NewLegID(), 1, blocksAt(1, 1))
	dies.end(over)
	require.Empty(t, dies.leftOf(a, 3), "it is no successor")
	_, err := openMemory(path, witnessWords)
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, dies.close())
	require.Equal(t, noPlace, dies.begin(a, 3, blocksAt(1, 1)), "its memory is gone")
	require.NoError(t, dies.close())

	next := openWitness(t, path, boot, a, b)
	require.Equal(t, []block.Range{blocksAt(7, 2)}, next.leftOf(a, 3))
	require.Empty(t, next.leftOf(a, 4), "somebody has started the leg since")
	place := next.begin(a, 3, blocksAt(3, 1))
	require.Equal(t, []block.Range{blocksAt(7, 2)}, next.leftOf(a, 3), "what it does itself is nobody's legacy")
	next.end(place)
	next.forget(a)
	require.Empty(t, next.leftOf(a, 3))
	require.Equal(t, []block.Range{blocksAt(1<<40, 16384)}, next.leftOf(b, 1))
	require.Len(t, next.free, witnessPlaces-1, "what names no leg of the store is given back")
	require.NoError(t, next.close())

	third := openWitness(t, path, boot, a, b)
	require.Empty(t, third.leftOf(a, 3), "it was forgotten for good")
	require.Len(t, third.leftOf(b, 1), 1, "nobody has opened that leg")
	require.NoError(t, third.close())

	later := openWitness(t, path, volume.NewUUID(), a, b)
	require.Empty(t, later.leftOf(b, 1))
	require.NoError(t, later.close())
	again := openWitness(t, path, boot, a, b)
	require.Empty(t, again.leftOf(b, 1), "a witness of another boot was begun meanwhile")
	require.NoError(t, again.close())
}

// A witness has as many places as it has; who finds none announces its change elsewhere. What a process that
// died left takes places until it is forgotten.
func TestWitness_isFull(t *testing.T) {
	path, boot, id := filepath.Join(shmDir(t), "witness"), volume.NewUUID(), volume.NewLegID()
	w := openWitness(t, path, boot, id)
	places := map[int]bool{}
	for range witnessPlaces {
		places[w.begin(id, 1, blocksAt(1, 1))] = true
	}
	require.Len(t, places, witnessPlaces)
	require.NotContains(t, places, noPlace)
	require.Equal(t, noPlace, w.begin(id, 1, blocksAt(1, 1)))
	w.end(noPlace)
	require.NoError(t, w.close())

	next := openWitness(t, path, boot, id)
	require.Len(t, next.leftOf(id, 1), witnessPlaces)
	require.Equal(t, noPlace, next.begin(id, 1, blocksAt(1, 1)))
	next.forget(id)
	require.NotEqual(t, noPlace, next.begin(id, 1, blocksAt(1, 1)))
	require.NoError(t, next.close())
}

func TestWitness_none(t *testing.T) {
	var w *witness
	id := volume.NewLegID()
	require.Equal(t, noPlace, w.begin(id, 1, blocksAt(1, 1)))
	w.end(noPlace)
	w.forget(id)
	w.drop(id)
	require.Empty(t, w.leftOf(id, 1))
	require.NoError(t, w.close())
}

// A file on a disk is no memory, and none is made there; nor is one that others can change. One of another size is made
// anew.
func TestMemory_onATmpfsOfOnesOwn(t *testing.T) {
	dir := shmDir(t)
	path := filepath.Join(dir, "m")
	require.NoError(t, os.WriteFile(path, make([]byte, 100), 0o600))
	_, err := readMemory(path, 512)
	require.ErrorContains(t, err, "it is no file of 4096 bytes")
	memory, err := openMemory(path, 512)
	require.NoError(t, err)
	require.Equal(t, 512, memory.Words())
	require.Zero(t, memory.Load(511))
	memory.Store(511, 1<<63)
	reader, err := readMemory(path, 512)
	require.NoError(t, err)
	require.Equal(t, 512, reader.Words())
	require.Equal(t, uint64(1<<63), reader.Load(511))
	require.NoError(t, reader.Close())
	require.NoError(t, memory.Close())
	_, err = readMemory(path+"none", 512)
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, os.Chmod(path, 0o644))
	_, err = openMemory(path, 512)
	require.ErrorContains(t, err, "no file of this user alone")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	_, err = openMemory(path, 512)
	require.Error(t, err)
	require.NoError(t, os.Chmod(dir, 0o1777))
	_, err = openMemory(filepath.Join(dir, "other"), 512)
	require.ErrorContains(t, err, "others may change what is in it")
	require.NoFileExists(t, filepath.Join(dir, "other"))
	_, err = openMemory("/proc/self/m", 512)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
