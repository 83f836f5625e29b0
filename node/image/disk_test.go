package image

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
)

// asUser has the rest of the test's thread reach files as a user who is not root does.
func asUser(t *testing.T, uid int) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	runtime.LockOSThread() // it ends with the test's goroutine
	require.NoError(t, syscall.Setfsuid(uid))
	t.Cleanup(func() { require.NoError(t, syscall.Setfsuid(0)) })
}

// A daemon that died when its file was read only and had no blob's name yet goes on with it, whoever it runs as.
func TestStore_aPartialThatIsReadOnlyGoesOn(t *testing.T) {
	s := storeOf(t)
	data, d := content(1, 1000)
	require.NoError(t, os.WriteFile(s.part(d), data, blobMode))
	const user = 65534
	if os.Getuid() == 0 {
		require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(s.dir)), 0o755)) // of t.TempDir
		require.NoError(t, os.Chown(s.dir, user, user))
		require.NoError(t, os.Chown(s.part(d), user, user))
	}
	asUser(t, user)
	p, err := s.resume(d, int64(len(data))+1)
	require.NoError(t, err)
	require.EqualValues(t, len(data), p.size)
	_, err = p.Write([]byte{1})
	require.NoError(t, err)
	require.NoError(t, p.close())
}

// What could not be synced may be right in memory and wrong on the disk, and a second sync would not say so.
func TestStore_whatCouldNotBeSyncedIsNotGoneOnWith(t *testing.T) {
	s := storeOf(t)
	data, d := content(1, 1000)
	s.sync = func(*os.File) error { return syscall.EIO }
	p, err := s.resume(d, int64(len(data)))
	require.NoError(t, err)
	_, err = p.Write(data)
	require.NoError(t, err)
	require.ErrorIs(t, s.install(p.file, d), syscall.EIO)
	require.ErrorIs(t, s.sound(d), ErrNone)
	require.NoFileExists(t, s.part(d))

	s.sync = (*os.File).Sync
	p, err = s.resume(d, int64(len(data)))
	require.NoError(t, err)
	require.Zero(t, p.size)
	require.NoError(t, p.close())
}

func TestUploads_whatCouldNotBeSyncedIsOver(t *testing.T) {
	s := storeOf(t)
	u := uploadsOf(s)
	data, d := content(1, 1000)
	id, err := u.begin(0)
	require.NoError(t, err)
	_, err = u.write(id, 0, data)
	require.NoError(t, err)
	s.sync = func(*os.File) error { return syscall.EIO }
	_, _, err = u.seal(id, d, 1000)
	require.ErrorIs(t, err, syscall.EIO)
	s.sync = (*os.File).Sync
	_, _, err = u.seal(id, d, 1000)
	require.ErrorContains(t, err, "over")
	_, err = u.write(id, 1000, []byte{1})
	require.ErrorContains(t, err, "over")
	u.end(id)
	entries, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// spoilFile makes a blob's file one that the disk does not give: neither when it is opened, or not when it is read.
func spoilFile(t *testing.T, path, how string) {
	t.Helper()
	require.NoError(t, os.Remove(path))
	if how == "open" {
		require.NoError(t, syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0)) // which has no other side: ENXIO
		return
	}
	require.NoError(t, os.Symlink("/proc/self/mem", path)) // nothing is mapped at its beginning: EIO
}

func TestStore_whatCannotBeReadIsPutAsideAsThat(t *testing.T) {
	for how, code := range map[string]error{"open": syscall.ENXIO, "read": syscall.EIO} {
		s := storeOf(t)
		data, d := content(1, 1000)
		put(t, s, data, d)
		spoilFile(t, s.path(d), how)
		err := s.verify(t.Context(), d, nil)
		require.ErrorIs(t, err, ErrUnreadable, how)
		require.ErrorIs(t, err, code, how)
		require.NotErrorIs(t, err, ErrWrong, how)
		_, here := s.state(d)
		require.False(t, here, how)
		_, err = os.Lstat(s.path(d) + badSuffix)
		require.NoError(t, err, how)
	}
}

// A disk that fails is told as that, nobody is held to have lied, and the blob comes anew.
func TestKeeper_whatCannotBeReadIsFetchedAnew(t *testing.T) {
	a, b := newMachine(t), newMachine(t)
	data, d := content(1, 100<<10)
	a.give(data, d)
	put(t, b.keeper.store, data, d)
	o := orderFrom(data, d, a)
	o.Has = true
	b.order(o)
	b.has(data, d)
	spoilFile(t, b.keeper.store.path(d), "read")
	res, err := http.Post(b.server.URL+peer.PathImageDoubt+"?digest="+string(d), "", nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Eventually(t, func() bool { return len(b.said()) == 2 }, 20*time.Second, time.Millisecond)
	require.False(t, b.said()[0].Has)
	require.Contains(t, b.said()[0].Reason, "cannot be read")
	require.Contains(t, b.said()[0].Reason, "input/output error")
	require.NotContains(t, b.said()[0].Reason, "digest")
	b.has(data, d)
	require.Equal(t, Counts{PulledBytes: int64(len(data)), Pulled: 1, Unreadable: 1}, b.keeper.Counts())
	require.Zero(t, a.keeper.Counts())
}
