package standalone

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseLUN(t *testing.T) {
	l, err := ParseLUN("/a/b.img,size=256M,readonly")
	require.NoError(t, err)
	require.Equal(t, LUN{Path: "/a/b.img", SizeBytes: 256 << 20, ReadOnly: true}, l)
	l, err = ParseLUN("b,physical=512,removable,serial=X1,reservations=/r")
	require.NoError(t, err)
	require.Equal(t, LUN{Path: "b", Physical: 512, Removable: true, Serial: "X1", Reservations: "/r"}, l)
	for _, bad := range []string{"", "a,serial=", "a,reservations=",
		"a,physical=1024", ",size=1M", "a,size=x", "a,writeonly"} {
		_, err := ParseLUN(bad)
		require.Error(t, err, bad)
	}
}

func TestServe_refusesHalfACredential(t *testing.T) {
	for _, o := range []Options{
		{ChapUser: "u"}, {ChapSecretFile: "f"}, {MutualUser: "m", MutualSecretFile: "f"},
		{ChapUser: "u", ChapSecretFile: "/does/not/exist"},
	} {
		require.Error(t, Serve(t.Context(), o))
	}
}

func TestServe_saysWhatToDoAndIsNotReady(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	none := filepath.Join(t.TempDir(), "none.img")
	image := []LUN{{Path: filepath.Join(t.TempDir(), "disk.img"), SizeBytes: 1 << 20}}
	const iqn = "iqn.2026-11.example:disk"
	for want, o := range map[string]Options{
		taken.Addr().String() + " is in use": {
			Listen: []string{"127.0.0.1:0", taken.Addr().String()}, IQN: iqn, LUNs: image},
		"want a name like":  {Listen: []string{"127.0.0.1:0"}, IQN: "disk", LUNs: image},
		none + ",size=1G":   {Listen: []string{"127.0.0.1:0"}, IQN: iqn, LUNs: []LUN{{Path: none}}},
		"--metrics-open":    {Listen: []string{"127.0.0.1:0"}, IQN: iqn, LUNs: image, Metrics: "0.0.0.0:0"},
		"want host:port":    {Listen: []string{"127.0.0.1:0"}, IQN: iqn, LUNs: image, Metrics: "9260"},
		"--listen nonsense": {Listen: []string{"nonsense"}, IQN: iqn, LUNs: image},
	} {
		var said bytes.Buffer
		o.Ready = &said
		require.ErrorContains(t, Serve(t.Context(), o), want)
		require.Empty(t, said.String())
	}
}

func TestCheckMetrics_otherMachinesReadAlongOnlyIfThatIsMeant(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:9260", "[::1]:9260", "localhost:9260"} {
		require.NoError(t, Options{Metrics: address}.checkMetrics(), address)
	}
	for _, address := range []string{"10.0.0.1:9260", ":9260", "0.0.0.0:9260", "[::]:9260", "n1.example:9260"} {
		require.ErrorContains(t, Options{Metrics: address}.checkMetrics(), "--metrics-open", address)
		require.NoError(t, Options{Metrics: address, MetricsOpen: true}.checkMetrics(), address)
	}
}

// lineWriter hands the first line to a channel.
type lineWriter struct {
	lines chan string
	text  bytes.Buffer
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.text.Write(p)
	if line, err := w.text.ReadString('\n'); err == nil {
		w.lines <- strings.TrimSpace(line)
	}
	return len(p), nil
}

func TestServe_aForeignInitiatorWithChapWritesAndReads(t *testing.T) {
	if _, err := exec.LookPath("qemu-io"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("qemu-io is not installed")
		}
		t.Skip("qemu-io is not installed; ./scripts/packages installs it")
	}
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("twelve-chars-long\n"), 0o600))
	image := filepath.Join(dir, "disk.img")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready := &lineWriter{lines: make(chan string, 1)}
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, Options{
			Listen: []string{"127.0.0.1:0"}, IQN: "iqn.2026-11.example:disk",
			LUNs:     []LUN{{Path: image, SizeBytes: 16 << 20}},
			ChapUser: "alice", ChapSecretFile: secret, Ready: ready,
		})
	}()
	url, ok := strings.CutPrefix(<-ready.lines, "ready iscsi://")
	require.True(t, ok)
	url = strings.Replace(url, "example:disk", "example%3Adisk", 1)
	out, err := exec.Command("qemu-io", "-f", "raw", "-c", "write -P 7 1M 64k", "-c", "flush",
		"-c", "read -P 7 1M 64k", "iscsi://alice%twelve-chars-long@"+url).CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	out, err = exec.Command("qemu-io", "-f", "raw", "-c", "read 0 4k",
		"iscsi://alice%wrong-secret-here@"+url).CombinedOutput()
	require.Errorf(t, err, "a wrong secret must not log in: %s", out)
	cancel()
	require.NoError(t, <-served)
	data, err := os.ReadFile(image)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte{7}, 64<<10), data[1<<20:1<<20+64<<10])
}
