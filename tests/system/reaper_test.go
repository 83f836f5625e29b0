package system

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReaper_aKilledTestLeavesNothing runs these very tests, kills them without a warning in the
// middle of a round with mounts, loop devices, a relay and a load, and finds nothing of them a moment
// later.
func TestReaper_aKilledTestLeavesNothing(t *testing.T) {
	need(t, "fio", "qemu-nbd", "mkfs.ext4", "nsenter")
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir, err := os.MkdirTemp("", "hf-k")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	tests := exec.Command(os.Args[0], "-test.v", "-test.run=^TestFaults_nothingIsLostUnderVerifiedLoad$")
	tests.Env = append(os.Environ(), "TMPDIR="+dir, "HOLDFAST_ROUNDS=1000")
	out, err := tests.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, tests.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "round 1:") {
	}
	require.NoError(t, lines.Err())
	require.Greater(t, len(processesOf(t, dir)), 5, "five daemons, an engine, a relay and a load run")
	require.Len(t, loopsOf(t, dir), siteNodes)

	require.NoError(t, tests.Process.Kill())
	require.Error(t, tests.Wait())
	require.Eventually(t, func() bool {
		left, err := os.ReadDir(dir)
		return err == nil && len(left) == 0 && len(processesOf(t, dir)) == 0 && len(loopsOf(t, dir)) == 0
	}, time.Minute, 100*time.Millisecond, "something of the killed tests is left")
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), dir)
	require.ErrorIs(t, syscall.Kill(tests.Process.Pid, 0), syscall.ESRCH)
}

// loopsOf returns the loop devices whose image is below a directory.
func loopsOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	require.NoError(t, err)
	var found []string
	for _, f := range files {
		// A device that is being let go of has no such file any more.
		if image, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(image), dir) {
			found = append(found, f)
		}
	}
	return found
}
