package leg_test

import (
	"bytes"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
)

// Ids of mounts are given out again: a file system that was unmounted, which drops its cache, must not
// look like the one before.
func TestOSFS_mountAfterUnmountIsAnother(t *testing.T) {
	dir := t.TempDir()
	mounted := func() leg.Mount {
		if err := syscall.Mount("holdfast", dir, "tmpfs", 0, "size=64k"); err != nil {
			t.Skipf("may not mount: %v", err)
		}
		defer func() { require.NoError(t, syscall.Unmount(dir, 0)) }()
		m, err := leg.OSFS(dir).Mount()
		require.NoError(t, err)
		again, err := leg.OSFS(dir).Mount()
		require.NoError(t, err)
		require.Equal(t, m, again)
		return m
	}
	require.NotEqual(t, mounted(), mounted())
}

// TestOSFS_nextData goes through a file of data and holes from every page: what it is told of holes is true, also
// where it asked before; a run may be told longer than it is after a hole was made in it.
func TestOSFS_nextData(t *testing.T) {
	const page, pages = 64 << 10, 16
	fsys := leg.OSFS(t.TempDir())
	require.NoError(t, fsys.CreateData("data", pages*page))
	data, err := fsys.OpenData("data", 512)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, data.Close()) })
	held := make([]bool, pages)
	write := func(from, n int) {
		require.NoError(t, data.Write(t.Context(), bytes.Repeat([]byte{1}, n*page), int64(from*page), 0))
		for i := range n {
			held[from+i] = true
		}
	}
	check := func(exact bool) {
		for i := range pages {
			run, err := data.NextData(int64(i * page))
			require.NoError(t, err)
			for p := i; p < pages; p++ {
				told := block.Range{Off: int64(p * page), Len: page}.Overlaps(run)
				if int64(p*page) >= run.End() {
					break
				}
				if held[p] {
					require.True(t, told, "page %d asked from %d", p, i)
				}
				if exact && told {
					require.True(t, held[p], "page %d asked from %d", p, i)
				}
			}
			if run.Empty() {
				require.NotContains(t, held[i:], true)
			}
		}
	}
	check(true)
	write(2, 3)
	check(true)
	write(9, 2)
	check(true)
	write(5, 2) // right behind a run that is remembered
	check(true)
	require.NoError(t, data.Zero(t.Context(), block.Range{Off: 3 * page, Len: page}, block.Unmap))
	held[3] = false
	check(false)
	write(15, 1)
	check(false)
}
