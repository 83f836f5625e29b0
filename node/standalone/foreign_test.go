package standalone

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/metrics"
)

// need skips without a foreign program, but where the tests must be whole.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed; ./scripts/packages installs it", program)
}

// serving serves until the test ends and returns the lines that Serve says, as many as asked for.
func serving(t *testing.T, lines int, o Options) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	o.Ready = w
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	in := bufio.NewScanner(r)
	var said []string
	for len(said) < lines && in.Scan() {
		said = append(said, in.Text())
	}
	require.Len(t, said, lines)
	return said
}

// QEMU copies an image to a LUN and compares the two, with header and data digests, over two portals of which one
// is IPv6, and the metrics tell of it.
func TestServe_qemuConvertsAndComparesWithDigests(t *testing.T) {
	need(t, "qemu-img")
	const bytes = 64 << 20
	dir := t.TempDir()
	source := filepath.Join(dir, "source.img")
	content := make([]byte, bytes)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(content[:bytes/2]) // the other half is a hole
	require.NoError(t, os.WriteFile(source, content, 0o600))
	var log strings.Builder
	t.Cleanup(func() { // after the target has ended
		require.Equal(t, 3, strings.Count(log.String(), "header_digest=true"), log.String())
	})
	said := serving(t, 3, Options{Listen: []string{"127.0.0.1:0", "[::1]:0"}, IQN: "iqn.2026-11.example:disk",
		Metrics: "127.0.0.1:0",
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
		LUNs:    []LUN{{Path: filepath.Join(dir, "disk.img"), SizeBytes: bytes}}})
	var portals []string
	for _, line := range said[1:] {
		address, _, ok := strings.Cut(strings.TrimPrefix(line, "ready iscsi://"), "/")
		require.True(t, ok, line)
		portals = append(portals, address)
	}
	lun := func(portal string) string {
		return "driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=" + portal +
			",file.target=iqn.2026-11.example:disk,file.lun=0,file.header-digest=crc32c"
	}
	run := func(args ...string) {
		t.Helper()
		out, err := exec.Command("qemu-img", args...).CombinedOutput()
		require.NoErrorf(t, err, "qemu-img %s: %s", strings.Join(args, " "), out)
	}
	run("convert", "--target-image-opts", "-n", "-f", "raw", source, lun(portals[0]))
	for _, portal := range portals {
		run("compare", "--image-opts", "driver=raw,file.driver=file,file.filename="+source, lun(portal))
	}

	address, ok := strings.CutPrefix(said[0], "metrics http://")
	require.True(t, ok)
	host, _, _ := strings.Cut(address, "/")
	out, err := http.Get("http://" + host + metrics.PathMetrics)
	require.NoError(t, err)
	defer out.Body.Close()
	text, err := io.ReadAll(out.Body)
	require.NoError(t, err)
	require.Regexp(t, regexp.MustCompile(`(?m)^holdfast_target_connections \d+$`), string(text))
}
