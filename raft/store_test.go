package raft

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// usedDir makes a data directory with a snapshot and a log that begins after the first entries.
func usedDir(t *testing.T) (*group, string) {
	g := newGroup(t, "n1")
	_, c := g.leader("")
	g.on(c, provisionLines()...)
	for i := range 30 {
		g.on(c, fmt.Sprintf("event info cluster marker%d", i))
	}
	require.NoError(t, c.raft.Snapshot().Error())
	g.on(c, "event info cluster after")
	g.stop("n1")
	return g, filepath.Join(g.dir, "n1")
}

// Snapshots hold the CA's key. Also what an earlier version left is closed to others.
func TestStore_othersDoNotGetToSnapshots(t *testing.T) {
	g, dir := usedDir(t)
	own := snapshotDir(t, dir)
	files := []string{filepath.Dir(own), own, filepath.Join(own, "state.bin"), filepath.Join(own, "meta.json")}
	closed := func() {
		t.Helper()
		for _, f := range files {
			info, err := os.Stat(f)
			require.NoError(t, err)
			require.Zerof(t, info.Mode().Perm()&0o077, "%s: %s", f, info.Mode())
		}
	}
	closed()
	for _, f := range files {
		require.NoError(t, os.Chmod(f, 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(files[0], "permTest"), nil, 0o600)) // hraft died while it tried
	g.start("n1", nil)
	closed()
}

func snapshotDir(t *testing.T, dir string) string {
	found, err := filepath.Glob(filepath.Join(dir, snapshotsDir, "*-*-*"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

func change(t *testing.T, path string, f func([]byte) []byte) {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, f(data), 0o600))
}

// A data directory that is not whole is refused with the file's name and what to do, and left as it
// is: neither filled anew nor cut (protocol §5, rows 50 and 51).
func TestOpen_DamagedStoreIsRefused(t *testing.T) {
	g, used := usedDir(t)
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }
	type damage = func(t *testing.T, dir string)
	remove := func(name string) damage {
		return func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, name))) }
	}
	shorten := func(name string, n int) damage {
		return func(t *testing.T, dir string) { change(t, filepath.Join(dir, name), cut(n)) }
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for _, row := range []struct {
		name   string
		damage damage
		file   string
	}{
		{"database gone", remove(boltFile), boltFile},
		{"database empty", shorten(boltFile, 0), boltFile},
		{"database of one page", shorten(boltFile, 4096), boltFile},
		{"database cut", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, boltFile), func(b []byte) []byte { return b[:len(b)/4] })
		}, boltFile},
		{"database overwritten", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, boltFile), func(b []byte) []byte {
				return append(b[:2*os.Getpagesize()], bytes.Repeat([]byte{0xff}, len(b)-2*os.Getpagesize())...)
			})
		}, boltFile},
		{"both meta pages overwritten", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, boltFile), func(b []byte) []byte { clear(b[:2*os.Getpagesize()]); return b })
		}, boltFile},
		{"a log entry altered", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, boltFile), func(b []byte) []byte {
				require.Contains(t, string(b), "marker29")
				return bytes.ReplaceAll(b, []byte("marker29"), []byte("marker92"))
			})
		}, boltFile},
		{"snapshot cut", func(t *testing.T, dir string) {
			change(t, filepath.Join(snapshotDir(t, dir), "state.bin"), cut(100))
		}, snapshotsDir},
		{"snapshot altered", func(t *testing.T, dir string) {
			change(t, filepath.Join(snapshotDir(t, dir), "state.bin"), flip)
		}, snapshotsDir},
		{"snapshot without its description", func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(snapshotDir(t, dir), "meta.json")))
		}, snapshotsDir},
		{"snapshot gone", func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(snapshotDir(t, dir)))
		}, boltFile},
		{"identity gone", remove(identityFile), identityFile},
		{"identity cut", shorten(identityFile, 10), identityFile},
		{"identity of another form", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, identityFile), func([]byte) []byte { return []byte(`{"format":2}`) })
		}, identityFile},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "n1")
			require.NoError(t, os.CopyFS(dir, os.DirFS(used)))
			row.damage(t, dir)
			before := listing(t, dir)
			o := g.options("n1", g.members)
			o.Dir = dir
			for range 2 { // the first attempt neither mends it nor keeps it locked
				_, err := Open(o)
				require.Error(t, err)
				require.ErrorContains(t, err, filepath.Join(dir, row.file))
				require.ErrorContains(t, err, "remove this node from the cluster and add it as a new one")
			}
			require.Equal(t, before, listing(t, dir))
		})
	}
}

// listing returns the names and sizes of all files in a directory.
func listing(t *testing.T, dir string) map[string]int64 {
	files := make(map[string]int64)
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			files[path] = info.Size()
		}
		return err
	}))
	return files
}

// Whatever bytes of the database are overwritten: opening it ends with an error or with the state
// that was there, never with a panic or another state.
func TestOpen_RandomDamage(t *testing.T) {
	g, used := usedDir(t)
	path := filepath.Join(used, boltFile)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	random, refused := rand.New(rand.NewPCG(1, 2)), 0
	for range 300 {
		broken := bytes.Clone(whole)
		at := random.IntN(len(broken) - 32)
		for i := range 32 {
			broken[at+i] = byte(random.Uint32())
		}
		require.NoError(t, os.WriteFile(path, broken, 0o600))
		if err := verifyBoltSize(path); err != nil {
			refused++
			continue
		}
		logs, err := openBolt(path, true)
		if err != nil {
			refused++
			continue
		}
		if guarded(func() error { return verifyLog(logs, snapshotName{index: 1 << 40}) }) != nil {
			refused++
		}
		require.NoError(t, logs.Close())
	}
	require.Positive(t, refused)
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	o := g.options("n1", nil)
	c, err := Open(o)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestOpen_ForeignBusyOrUnfinishedDirectory(t *testing.T) {
	g, used := usedDir(t)
	o := g.options("n2", nil)
	o.Dir = used
	_, err := Open(o)
	require.ErrorContains(t, err, "belong to node "+g.node("n1").String())

	c := g.start("n1", nil)
	o = g.options("n1", nil)
	_, err = Open(o)
	require.ErrorContains(t, err, "another process uses it")
	g.stop("n1")
	require.NotNil(t, c)

	// A directory whose making was interrupted is made again: no member ever ran on it.
	o = g.options("n5", nil)
	require.NoError(t, os.MkdirAll(o.Dir, 0o700))
	require.NoError(t, identity{Format: identityFormat, Node: o.ID, State: stateMaking}.write(o.Dir))
	require.NoError(t, os.WriteFile(filepath.Join(o.Dir, boltFile), []byte("half"), 0o600))
	c, err = Open(o)
	require.NoError(t, err)
	require.NoError(t, c.Close())

	o = g.options("n6", g.members)
	_, err = Open(o)
	require.ErrorContains(t, err, "is not among them")
	_, err = Open(Options{})
	require.Error(t, err)
}
