package leg_test

import (
	"encoding/binary"
	"hash/crc32"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// withSum ends a sector with its checksum.
func withSum(sector []byte) []byte {
	binary.BigEndian.PutUint32(sector[508:], crc32.Checksum(sector[:508], crc32.MakeTable(crc32.Castagnoli)))
	return sector
}

// Matrix 40 on a real file system that is full: whatever has room for its data has room for its checksum,
// what has not is as it was or new, and everything can be read.
func TestOSFS_fileSystemIsFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("holdfast", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("may not mount: %v", err)
	}
	defer func() { require.NoError(t, syscall.Unmount(dir, 0)) }()
	fsys := leg.OSFS(dir)
	require.NoError(t, leg.InitStore(fsys, testStore, testNode))
	store := openStore(t, fsys, "boot 1")
	spec := testSpec()
	spec.SizeBytes = 16 << 20
	require.NoError(t, store.Provision(spec))
	l := openLeg(t, store)
	s := configured(t, l, 1)
	const step = 96 << 10
	full := false
	for off := int64(0); !full; off += step {
		err := s.Write(t.Context(), pattern(byte(off>>12)|1, step/4096), off, 0)
		if full = err != nil; full {
			require.ErrorIs(t, err, block.ErrNoSpace)
		}
		require.Less(t, off, spec.SizeBytes-step)
	}
	require.NoError(t, l.Status().Failed, "a full store is no failed disk")
	_, bad, err := s.Checksums(t.Context(), block.Range{Len: spec.SizeBytes}, true)
	require.NoError(t, err)
	require.Empty(t, bad)
	require.NoError(t, s.Write(t.Context(), pattern(3, 4), 4096, block.FUA), "what has its space can be written")
	require.NoError(t, s.Zero(t.Context(), block.Range{Len: 1 << 20}, block.Unmap))
	require.NoError(t, s.Write(t.Context(), pattern(5, 8), 8<<20, 0), "there is room again")
	_, bad, err = s.Checksums(t.Context(), block.Range{Len: spec.SizeBytes}, false)
	require.NoError(t, err)
	require.Empty(t, bad)
	require.NoError(t, store.Close())
}

// The same for a leg of parity, which stores first and brings home later: what it answered it has room for.
func TestOSFS_fileSystemIsFullUnderAJournal(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("holdfast", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("may not mount: %v", err)
	}
	defer func() { require.NoError(t, syscall.Unmount(dir, 0)) }()
	fsys := leg.OSFS(dir)
	store := parityStore(t, fsys, volume.DurabilityFlush)
	_, free, err := fsys.Usage()
	require.NoError(t, err)
	others, err := fsys.CreateFull("others", free-512<<10)
	require.NoError(t, err)
	require.NoError(t, others.Close())
	l := openLeg(t, store)
	s := configured(t, l, 1)
	const step = 16
	last := paritySpec().SizeBytes/2/volume.BlockBytes - step
	number := uint64(0)
	for first := int64(0); ; first += step {
		require.Less(t, first, last, "it was never full")
		number++
		err = s.Stage(t.Context(), record(1, number, volume.RecordImage, first, step), pattern(byte(first>>4)|1, step))
		if err != nil {
			require.ErrorIs(t, err, block.ErrNoSpace)
			break
		}
		require.NoError(t, s.Commit(t.Context(), up(1, number)))
		require.NoError(t, s.Free(t.Context(), up(1, number)))
	}
	require.NoError(t, l.Status().Failed, "a full store is no failed disk")
	require.Greater(t, number, uint64(1))
	require.NoError(t, s.Stage(t.Context(), record(1, number+1, volume.RecordDelta, 0, step), pattern(2, step)),
		"what has its space can be written")
	require.NoError(t, s.Commit(t.Context(), up(1, number+1)))
	require.NoError(t, store.Close())
}

func TestOSFS_createFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("holdfast", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("may not mount: %v", err)
	}
	defer func() { require.NoError(t, syscall.Unmount(dir, 0)) }()
	fsys := leg.OSFS(dir)
	file, err := fsys.CreateFull("table", 512<<10)
	require.NoError(t, err)
	_, err = fsys.CreateFull("other", 1<<20)
	require.ErrorIs(t, err, syscall.ENOSPC, "it has no room")
	require.NoError(t, fsys.RemoveAll("other"))
	rest, err := fsys.Create("rest")
	require.NoError(t, err)
	_, err = rest.WriteAt(make([]byte, 1<<20), 0)
	require.ErrorIs(t, err, syscall.ENOSPC, "the store is full")
	got := make([]byte, 512<<10)
	_, err = file.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 512<<10), got)
	_, err = file.WriteAt(pattern(1, 128), 0)
	require.NoError(t, err, "its own space is set aside")
	require.NoError(t, rest.Close())
	require.NoError(t, file.Close())
}

// A range of a size that no buffer holds is zeroed in the time that its content takes, and the space of the
// checksums stays set aside.
func TestOSFS_zeroOfAHugeRange(t *testing.T) {
	fsys := leg.OSFS(t.TempDir())
	require.NoError(t, leg.InitStore(fsys, testStore, testNode))
	store := openStore(t, fsys, "boot 1")
	spec := testSpec()
	spec.SizeBytes = 16 << 30
	require.NoError(t, store.Provision(spec))
	l := openLeg(t, store)
	s := configured(t, l, 1)
	fresh, err := l.Check()
	require.NoError(t, err)
	require.GreaterOrEqual(t, fresh.UsedBytes, spec.SizeBytes/1024, "the checksums")
	written := []int64{0, 5 << 30, spec.SizeBytes - 8192}
	for _, off := range written {
		require.NoError(t, s.Write(t.Context(), pattern(9, 2), off, 0))
	}
	require.NoError(t, s.Zero(t.Context(), block.Range{Off: 4096, Len: spec.SizeBytes - 8192}, block.Unmap|block.FUA))
	want := map[int64][]byte{
		0:                     append(pattern(9, 1), make([]byte, 4096)...),
		5 << 30:               make([]byte, 8192),
		spec.SizeBytes - 8192: append(make([]byte, 4096), pattern(9, 2)[4096:]...),
	}
	for off, content := range want {
		got := make([]byte, 8192)
		require.NoError(t, s.Read(t.Context(), got, off))
		require.Equal(t, content, got)
	}
	_, bad, err := s.Checksums(t.Context(), block.Range{Len: spec.SizeBytes}, true)
	require.NoError(t, err)
	require.Empty(t, bad)
	after, err := l.Check()
	require.NoError(t, err)
	require.GreaterOrEqual(t, after.UsedBytes, fresh.UsedBytes)
	require.NoError(t, store.Close())
}
