package leg_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

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
