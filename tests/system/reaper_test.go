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

	"github.com/holdfast-storage/holdfast/node/devnet"
)

// TestReaper_aKilledTestLeavesNothing runs these very tests, kills them without a warning in the
// middle of a round with mounts, loop devices, a relay and a load, and of chaos with network namespaces, writers and
// nodes that are paused, and finds nothing of them a moment later.
func TestReaper_aKilledTestLeavesNothing(t *testing.T) {
	need(t, "fio", "qemu-nbd", "mkfs.ext4", "nsenter")
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	t.Run("faults", func(t *testing.T) {
		killInTheMiddle(t, "^TestFaults_nothingIsLostUnderVerifiedLoad$", "HOLDFAST_ROUNDS=1000", "round 1:", siteNodes)
	})
	t.Run("chaos", func(t *testing.T) {
		if err := devnet.Able(); err != nil {
			t.Skip(err)
		}
		killInTheMiddle(t, "^TestChaos$", chaosEnv+"=10", "step 3", chaosNodes)
	})
}

// killInTheMiddle runs a test until it says a word, and kills it.
func killInTheMiddle(t *testing.T, test, setting, word string, disks int) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hf-k")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	tests := exec.Command(os.Args[0], "-test.v", "-test.run="+test)
	tests.Env = append(os.Environ(), "TMPDIR="+dir, setting)
	out, err := tests.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, tests.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), word) {
	}
	require.NoError(t, lines.Err())
	require.Greater(t, len(processesOf(t, dir)), 5, "daemons, engines and a load run")
	require.Len(t, loopsOf(t, dir), disks)

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
