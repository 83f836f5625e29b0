package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// content makes bytes that a seed gives, and their digest.
func content(seed uint64, size int) ([]byte, volume.Digest) {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(data)
	return data, volume.DigestOf(sha256.Sum256(data))
}

func storeOf(t *testing.T) *store {
	t.Helper()
	s, err := openStore(filepath.Join(t.TempDir(), "images"))
	require.NoError(t, err)
	return s
}

// put makes a blob of data, as a pull does.
func put(t *testing.T, s *store, data []byte, d volume.Digest) {
	t.Helper()
	p, err := s.resume(d, int64(len(data)))
	require.NoError(t, err)
	_, err = p.Write(data)
	require.NoError(t, err)
	require.Equal(t, d, p.digest())
	require.NoError(t, s.install(p.file, d))
}

// reopen is the same directory after a restart of the daemon.
func reopen(t *testing.T, s *store) *store {
	t.Helper()
	again, err := openStore(s.dir)
	require.NoError(t, err)
	return again
}

// change writes over the first byte of a blob's file.
func change(t *testing.T, s *store, d volume.Digest) {
	t.Helper()
	require.NoError(t, os.Chmod(s.path(d), 0o600))
	f, err := os.OpenFile(s.path(d), os.O_RDWR, 0)
	require.NoError(t, err)
	first := make([]byte, 1)
	_, err = f.ReadAt(first, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{first[0] ^ 1}, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// rot does the same without a trace in the file's times, as a disk does.
func rot(t *testing.T, s *store, d volume.Digest) {
	t.Helper()
	before, err := os.Stat(s.path(d))
	require.NoError(t, err)
	change(t, s, d)
	require.NoError(t, os.Chtimes(s.path(d), before.ModTime(), before.ModTime()))
}

func TestStore_aBlobIsUsedOnlyOnceVerified(t *testing.T) {
	s := storeOf(t)
	data, d := content(1, 3<<20+17)
	require.ErrorIs(t, s.sound(d), ErrNone)
	put(t, s, data, d)
	require.NoError(t, s.sound(d), "it was hashed as it was written")
	info, err := os.Stat(s.path(d))
	require.NoError(t, err)
	require.EqualValues(t, blobMode, info.Mode().Perm())

	s = reopen(t, s)
	require.ErrorIs(t, s.sound(d), ErrUnverified)
	read := 0
	require.NoError(t, s.verify(t.Context(), d, func(n int) { read += n }))
	require.Equal(t, len(data), read)
	require.NoError(t, s.sound(d))
	f, err := s.open(d)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestStore_whatRottedIsPutAside(t *testing.T) {
	s := storeOf(t)
	data, d := content(1, 1<<20)
	put(t, s, data, d)
	rot(t, s, d)
	require.NoError(t, s.sound(d), "the times tell nothing")
	require.ErrorIs(t, s.verify(t.Context(), d, nil), ErrWrong)
	require.ErrorIs(t, s.sound(d), ErrNone)
	require.FileExists(t, s.path(d)+badSuffix)
	require.NoFileExists(t, s.path(d))
	require.Equal(t, []volume.Digest{d}, s.leftovers())

	put(t, s, data, d)
	require.NoError(t, s.sound(d))
	require.NoFileExists(t, s.path(d)+badSuffix)

	require.NoError(t, os.Remove(s.path(d)))
	require.ErrorIs(t, s.sound(d), ErrNone, "somebody removed it")
	require.ErrorIs(t, s.verify(t.Context(), d, nil), ErrWrong)
	_, here := s.state(d)
	require.False(t, here)
}

func TestStore_aFileThatWasTouchedIsReadAnew(t *testing.T) {
	s := storeOf(t)
	data, d := content(1, 4096)
	put(t, s, data, d)
	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(s.path(d), later, later))
	require.ErrorIs(t, s.sound(d), ErrUnverified)
	require.NoError(t, s.verify(t.Context(), d, nil))
	require.NoError(t, s.sound(d))

	require.NoError(t, os.Remove(s.path(d)))
	require.NoError(t, os.WriteFile(s.path(d), data[:4095], 0o400))
	require.ErrorIs(t, s.sound(d), ErrUnverified)
	require.ErrorIs(t, s.verify(t.Context(), d, nil), ErrWrong, "it is too short")
}

func TestStore_aGoodFileThatCameMeanwhileStays(t *testing.T) {
	s := storeOf(t)
	data, d := content(1, 4<<20)
	put(t, s, data, d)
	rot(t, s, d)
	replaced := false
	err := s.verify(t.Context(), d, func(int) {
		if !replaced {
			replaced = true
			put(t, s, data, d)
		}
	})
	require.ErrorIs(t, err, ErrWrong)
	require.NoError(t, s.sound(d))
}

func TestStore_verifyingEndsWithItsContext(t *testing.T) {
	s := storeOf(t)
	data, d := content(1, 4<<20)
	put(t, s, data, d)
	s = reopen(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, s.verify(ctx, d, func(int) { cancel() }), context.Canceled)
	require.ErrorIs(t, s.sound(d), ErrUnverified, "nothing is known of it")
	require.FileExists(t, s.path(d))
}

// A daemon may die after every write, and its machine lose the end of what was not synced: what is there then goes on
// to be the whole.
func TestStore_aPartialGoesOnAfterEveryInterruption(t *testing.T) {
	data, d := content(1, 10_000)
	for cut := 0; cut <= len(data); cut += 999 {
		s := storeOf(t)
		p, err := s.resume(d, int64(len(data)))
		require.NoError(t, err)
		_, err = p.Write(data[:cut])
		require.NoError(t, err)
		require.NoError(t, p.close()) // the daemon is gone

		s = reopen(t, s)
		_, here := s.state(d)
		require.False(t, here, "a partial is no blob")
		p, err = s.resume(d, int64(len(data)))
		require.NoError(t, err)
		require.EqualValues(t, cut, p.size)
		_, err = p.Write(data[cut:])
		require.NoError(t, err)
		require.Equal(t, d, p.digest())
		require.NoError(t, s.install(p.file, d))
		require.NoError(t, s.sound(d))
		got, err := os.ReadFile(s.path(d))
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
		require.NoFileExists(t, s.part(d))
	}
}

func TestStore_aPartialThatIsTooLongBeginsAnew(t *testing.T) {
	s := storeOf(t)
	data, d := content(1, 100)
	require.NoError(t, os.WriteFile(s.part(d), append(data, 0), 0o600))
	p, err := s.resume(d, 100)
	require.NoError(t, err)
	require.Zero(t, p.size)
	_, err = p.Write(data)
	require.NoError(t, err)
	require.Equal(t, d, p.digest())
	require.NoError(t, p.close())
}

func TestStore_removeLeavesNothing(t *testing.T) {
	s := storeOf(t)
	data, d := content(1, 100)
	put(t, s, data, d)
	require.NoError(t, os.WriteFile(s.part(d), data, 0o600))
	require.NoError(t, os.WriteFile(s.path(d)+badSuffix, data, 0o600))
	require.NoError(t, s.remove(d, nobodyWants))
	entries, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	require.Empty(t, entries)
	require.NoError(t, s.remove(d, nobodyWants))
}

func TestStore_roomIsLeftForTheNode(t *testing.T) {
	s := storeOf(t)
	require.NoError(t, s.room(1))
	require.ErrorIs(t, s.room(1<<60), ErrNoRoom)
}

func nobodyWants() bool { return false }

func uploadsOf(s *store) *uploads {
	return &uploads{store: s, open: map[string]*upload{}, keep: func(volume.Digest) {}}
}

func TestUploads(t *testing.T) {
	s := storeOf(t)
	u := uploadsOf(s)
	data, d := content(1, 1000)
	id, err := u.begin(1000)
	require.NoError(t, err)
	for _, c := range []struct {
		at, end int
		have    int64
		good    bool
	}{{0, 400, 400, true}, {0, 400, 400, true}, {500, 600, 400, false}, {300, 700, 700, true}, {-1, 5, 700, false},
		{700, 1000, 1000, true}} {
		n, err := u.write(id, int64(c.at), data[max(c.at, 0):c.end])
		require.Equal(t, c.good, err == nil, "%+v: %v", c, err)
		require.Equal(t, c.have, n, "%+v", c)
	}
	_, _, err = u.seal(id, d, 999)
	require.Error(t, err, "something is missing")
	_, _, err = u.seal(id, "sha256:0", 1000)
	require.Error(t, err, "it is something else")
	require.ErrorIs(t, s.sound(d), ErrNone)
	for range 2 { // the answer may have been lost
		got, size, err := u.seal(id, d, 1000)
		require.NoError(t, err)
		require.Equal(t, d, got)
		require.EqualValues(t, 1000, size)
	}
	require.NoError(t, s.sound(d))
	_, err = u.write(id, 1000, []byte{1})
	require.Error(t, err)
	u.end(id)
	_, _, err = u.seal(id, d, 1000)
	require.Error(t, err)
	require.NoError(t, s.sound(d), "what it became stays")
}

func TestUploads_leaveNothingWhenTheyBreakOff(t *testing.T) {
	s := storeOf(t)
	u := uploadsOf(s)
	empty := func() {
		t.Helper()
		entries, err := os.ReadDir(s.dir)
		require.NoError(t, err)
		require.Empty(t, entries)
	}
	begin := func() string {
		t.Helper()
		id, err := u.begin(0)
		require.NoError(t, err)
		_, err = u.write(id, 0, []byte("abc"))
		require.NoError(t, err)
		return id
	}
	u.end(begin())
	empty()
	begin()
	u.expire(time.Now().Add(-time.Minute))
	require.Len(t, u.open, 1, "something came just now")
	u.expire(time.Now().Add(time.Minute))
	empty()
	begin() // and the daemon dies
	s = reopen(t, s)
	empty()

	for range uploadsMax {
		_, err := uploadsOf(s).begin(0)
		require.NoError(t, err)
	}
	u = uploadsOf(s)
	for range uploadsMax {
		begin()
	}
	_, err := u.begin(0)
	require.Error(t, err, "too many at once")
	_, err = u.begin(1 << 60)
	require.ErrorIs(t, err, ErrNoRoom)
}
