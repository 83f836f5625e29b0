package conformance

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// lunBytes is enough for what the tests touch at both ends, and for a WRITE SAME of the greatest length.
const lunBytes = 128 << 20

// setting is one way to serve a LUN and to run the tests on it.
type setting struct {
	name     string
	options  string // of the LUN
	portals  int
	readOnly bool
}

func settings() []setting {
	return []setting{
		{name: "thin", options: "physical=512", portals: 1},
		{name: "protected", options: "readonly", portals: 1, readOnly: true},
		{name: "paths", options: "removable", portals: 2},
	}
}

// build makes the binary that is tested.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "holdfast")
	out, err := exec.Command("go", "build", "-o", binary, "../../cmd/holdfast").CombinedOutput()
	require.NoError(t, err, string(out))
	return binary
}

// serve starts a target for the setting and returns the URLs of its LUN. It ends with the test.
func (s setting) serve(t *testing.T, binary string) []string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk.img")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, lunBytes))
	args := []string{"target", "--iqn", "iqn.2026-11.example:" + s.name, "--lun", image + "," + s.options}
	for range s.portals {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	cmd := exec.CommandContext(context.Background(), binary, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the target did not stop in order: %v\n%s", err, log.String())
		}
	})
	var urls []string
	lines := bufio.NewScanner(out)
	for len(urls) < s.portals && lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			urls = append(urls, url)
		}
	}
	require.Len(t, urls, s.portals, "the target is not ready")
	return urls
}
