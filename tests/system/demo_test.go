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
	for _, c := range []struct {
		name  string
		sig   syscall.Signal
		flags []string
	}{{"Ctrl-C", syscall.SIGINT, nil}, {"kill", syscall.SIGKILL, nil},
		{"kill with a virtual machine", syscall.SIGKILL, []string{"--guest"}}} {
		t.Run(c.name, func(t *testing.T) {
			if len(c.flags) > 0 {
				linuxParts(t)
			}
			dir, sig := t.TempDir(), c.sig
			demo := exec.Command(os.Getenv(binaryEnv), append([]string{"demo"}, c.flags...)...)
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

// TestDemo_withAVirtualMachine does the demo with Linux as its guest: it judges itself.
func TestDemo_withAVirtualMachine(t *testing.T) {
	linuxParts(t)
	dir := t.TempDir()
	r := run(t, 10*time.Minute, []string{"TMPDIR=" + dir}, os.Getenv(binaryEnv), "demo", "--guest")
	require.Zero(t, r.code, "%s%s", r.stdout, r.stderr)
	for _, said := range []string{"goes on: guest: synced", "guest# uname -sr", "Linux ", "the file system is clean",
		"health: healthy"} {
		require.Contains(t, r.stdout, said)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
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
