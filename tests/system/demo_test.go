package system

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDemo_cutShortLeavesNothing ends the demo in the middle, by Ctrl-C and by a kill that it cannot
// even notice: no process and no file of it is left.
func TestDemo_cutShortLeavesNothing(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			dir := t.TempDir()
			demo := exec.Command(os.Getenv(binaryEnv), "demo")
			demo.Env = append(os.Environ(), "TMPDIR="+dir)
			demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := demo.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, demo.Start())
			lines := bufio.NewScanner(out)
			for lines.Scan() && !strings.Contains(lines.Text(), "domain guest runs on") {
			}
			require.NoError(t, lines.Err())
			require.Greater(t, len(processesOf(t, dir)), 5, "five daemons, an engine and a guest run")

			require.NoError(t, syscall.Kill(-demo.Process.Pid, sig)) // as a terminal does
			require.Error(t, demo.Wait())
			require.Eventually(t, func() bool {
				left, err := os.ReadDir(dir)
				return err == nil && len(left) == 0 && len(processesOf(t, dir)) == 0
			}, time.Minute, 100*time.Millisecond)
		})
	}
}

// processesOf returns the command lines that name a directory.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	var found []string
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil && bytes.Contains(line, []byte(dir)) {
			found = append(found, string(line))
		}
	}
	return found
}
