package linuxguest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/debian"
)

// parts returns the parts of the guest, or skips where they cannot be had; with CI set everything must be here.
func parts(t *testing.T) Parts {
	t.Helper()
	cache, err := CacheDir()
	var p Parts
	if err == nil {
		p, err = Fetch(t.Context(), cache)
	}
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	return p
}

// The drivers are numbered so that each comes after those that it needs.
func TestFetch_driversComeAfterThoseThatTheyNeed(t *testing.T) {
	p := parts(t)
	require.FileExists(t, p.Kernel())
	files, err := os.ReadDir(p.modules())
	require.NoError(t, err)
	loaded := map[string]bool{}
	for _, f := range files {
		_, name, ok := strings.Cut(f.Name(), "-")
		require.True(t, ok, f.Name())
		needs, err := debian.Needs(filepath.Join(p.modules(), f.Name()))
		require.NoError(t, err)
		for _, other := range needs {
			_, wasNoFile := loaded[other]
			require.True(t, wasNoFile, "%s needs %s", f.Name(), other)
		}
		loaded[debian.ModuleName(name)] = true
	}
	require.Contains(t, loaded, "virtio_blk")
	require.Contains(t, loaded, "xen_blkfront")
	require.Contains(t, loaded, "virtio_console")
}

// The file system that comes out is whole, and has what the guest begins with.
func TestRoot_isAWholeFileSystem(t *testing.T) {
	for _, program := range []string{"mke2fs", "e2fsck", "debugfs"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	p := parts(t)
	dir := t.TempDir()
	image := filepath.Join(dir, "root")
	require.NoError(t, p.Root(t.Context(), image, 32<<20))
	out, err := exec.Command("e2fsck", "-f", "-n", image).CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.Command("debugfs", "-R", "cat /var/counter", image).Output()
	require.NoError(t, err)
	require.Equal(t, "0", strings.TrimSpace(string(out)))
	out, err = exec.Command("debugfs", "-R", "stat /bin/sh", image).Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "symlink")
	out, err = exec.Command("debugfs", "-R", "ls -p /lib/agent", image).Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "/qemu-ga/")
	require.Contains(t, string(out), "/ld.so/")

	ramDisk := filepath.Join(dir, "initrd")
	require.NoError(t, p.Initrd(t.Context(), ramDisk))
	list := exec.Command(p.busybox(), "cpio", "-t")
	list.Stdin, err = os.Open(ramDisk)
	require.NoError(t, err)
	out, err = list.Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "virtio_blk.ko")
	require.Contains(t, "\n"+string(out), "\ninit\n")
}

func TestFetch_saysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Fetch(t.Context(), t.TempDir())
	require.ErrorIs(t, err, debian.ErrNotHere)
	require.ErrorContains(t, err, "apt-get")
}

// What an interrupted Fetch leaves is not taken for whole, and goes away.
func TestFetch_leavesAllOrNothing(t *testing.T) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip(err)
	}
	cache := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(cache, "other"), nil, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Fetch(ctx, cache)
	require.Error(t, err)
	require.False(t, errors.Is(err, debian.ErrNotHere), "%v", err)
	left, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Len(t, left, 1)
}
