package xen

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/debian"
	"github.com/holdfast-storage/holdfast/tests/linuxguest"
)

// These tests run where somebody asks for them: two hosts in emulation keep a machine busy for some minutes.
const (
	wantedEnv = "HOLDFAST_XEN"
	insideEnv = "HOLDFAST_XEN_INSIDE"
)

// longest is how long a test may take.
const longest = 25 * time.Minute

// scratch is where a test has its files: a file system in memory, which only it sees.
const scratch = "/mnt"

// enter has the test run in namespaces of its own, for network, mounts and processes, and reports whether this is that
// run: the other one only waits for it. Whatever the test starts, mounts or writes is gone with the last of its
// processes, and they end with the first, also when that is killed.
func enter(t *testing.T) (inside bool) {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		require.Equal(t, 1, os.Getpid(), "%s is for the test's own use", insideEnv)
		return true
	}
	if os.Getenv(wantedEnv) == "" {
		t.Skipf("two Xen hosts in emulation take some minutes: asked for with %s=1, as by ./scripts/nightly",
			wantedEnv)
	}
	if os.Getuid() != 0 {
		t.Skip("network devices and mounts need root")
	}
	for _, program := range []string{"qemu-system-x86_64", "qemu-img", "mke2fs", "e2fsck", "ip", "unshare", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed; ./scripts/packages installs it", program)
		}
	}
	_, _, err := parts(t.Context())
	if errors.Is(err, debian.ErrNotHere) {
		t.Skip(err)
	}
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-c", `mount -t tmpfs -o mode=700 xen "$0" && exec "$@"`, scratch,
		os.Args[0], "-test.v", "-test.timeout="+longest.String(), "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), insideEnv+"=1", "TMPDIR="+scratch)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Run())
	return false
}

// parts returns what a Xen host and its guest are made of, from the cache, or from Debian's mirrors.
func parts(ctx context.Context) (Image, linuxguest.Parts, error) {
	cache, err := linuxguest.CacheDir()
	if err != nil {
		return Image{}, linuxguest.Parts{}, err
	}
	guest, err := linuxguest.Fetch(ctx, cache)
	if err != nil {
		return Image{}, linuxguest.Parts{}, err
	}
	host, err := FetchImage(ctx, cache)
	return host, guest, err
}

// build builds the binary.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(scratch, "holdfast")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/holdfast")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}
