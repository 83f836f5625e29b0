package nbd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/filedev"
	"github.com/holdfast-storage/holdfast/netio"
)

// program returns the path of a foreign program. Where it is missing the test is skipped, unless
// CI is set: there a missing program is a broken set-up.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: scripts/packages installs it", name)
		}
		t.Skipf("%s is not installed (scripts/packages installs it)", name)
	}
	return path
}

// run runs a foreign program and returns all it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program(t, name), args...).CombinedOutput()
	require.NoErrorf(t, err, "%s %v\n%s", name, args, out)
	return string(out)
}

// someFile writes size bytes of which every other 64 KiB is a hole.
func someFile(t *testing.T, size int) string {
	t.Helper()
	p := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{1})
	for off := 0; off+64<<10 <= size; off += 128 << 10 {
		_, _ = rng.Read(p[off : off+64<<10]) // it never fails
	}
	path := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(path, p, 0o600))
	return path
}

func TestForeign_nbdinfo(t *testing.T) {
	a := serveDevice(t, newMem(t, testSize), nil)
	out := run(t, "nbdinfo", a.String())
	for _, want := range []string{"protocol: newstyle-fixed without TLS, using structured packets", "export=\"root\"",
		"export-size: 4194304", "can_flush: true", "can_fua: true", "can_trim: true", "can_zero: true",
		"can_multi_conn: true", "is_read_only: false", "block_size_minimum: 512", "block_size_preferred: 4096",
		"block_size_maximum: 33554432"} {
		require.Contains(t, out, want)
	}
	require.Contains(t, run(t, "nbdinfo", "--list", Address{Socket: a.Socket}.String()), `export="root"`)
}

func TestForeign_qemuImg(t *testing.T) {
	program(t, "qemu-img")
	const size = 16 << 20
	image := someFile(t, size)
	a := serveDevice(t, newMem(t, size), nil)
	require.Contains(t, run(t, "qemu-img", "info", "-f", "raw", a.String()), "16 MiB (16777216 bytes)")
	run(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, a.String())
	require.Contains(t, run(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", image, a.String()), "identical")
	back := filepath.Join(t.TempDir(), "back")
	run(t, "qemu-img", "convert", "-f", "raw", "-O", "raw", a.String(), back)
	same(t, image, back)
}

func TestForeign_qemuIO(t *testing.T) {
	d := newMem(t, testSize)
	a := serveDevice(t, d, nil)
	out := run(t, "qemu-io", "-f", "raw", "-c", "write -P 7 0 64k", "-c", "write -f -P 8 64k 512", "-c", "flush",
		"-c", "read -P 7 0 64k", "-c", "write -z 4k 8k", "-c", "write -z -u 16k 4k", "-c", "discard 32k 4k",
		"-c", "read -P 0 4k 8k", "-c", "read -P 0 16k 4k", "-c", "write -P 9 100 17", a.String())
	require.NotContains(t, out, "failed")
	got := make([]byte, 512)
	require.NoError(t, d.Read(t.Context(), got, 64<<10))
	require.Equal(t, bytes.Repeat([]byte{8}, 512), got)
	require.NoError(t, d.Read(t.Context(), got, 0))
	require.Equal(t, bytes.Repeat([]byte{9}, 17), got[100:117], "QEMU itself makes whole sectors of it")
	require.Equal(t, byte(7), got[99])
	require.Equal(t, byte(7), got[117])
}

func TestForeign_qemuIO_seesErrors(t *testing.T) {
	program(t, "qemu-io")
	d := newMem(t, testSize)
	a := serveDevice(t, d, func(o *Options) { o.Limits.ReadOnly = true })
	cmd := exec.CommandContext(t.Context(), "qemu-io", "-f", "raw", "-c", "write 0 512", a.String())
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "%s", out)
}

// nbdcopy uses several connections at once when CAN_MULTI_CONN allows.
func TestForeign_nbdcopy(t *testing.T) {
	program(t, "nbdcopy")
	const size = 16 << 20
	image := someFile(t, size)
	a := serveDevice(t, newMem(t, size), nil)
	run(t, "nbdcopy", "--flush", "--connections=4", image, a.String())
	back := filepath.Join(t.TempDir(), "back")
	run(t, "nbdcopy", "--connections=4", a.String(), back)
	same(t, image, back)
}

// foreign clients show the credentials of a directory, and verify the server by its address.
func TestForeign_tls(t *testing.T) {
	program(t, "nbdcopy")
	program(t, "qemu-img")
	const size = 16 << 20
	image := someFile(t, size)
	d := newMem(t, size)
	s := serveTLS(t, Options{Queue: queueOf(t, d, 4), Limits: d.Limits(), Name: "root", Waits: netio.NewWaits()})
	soon := time.Now().Add(time.Hour)
	pair := s.ca.sign(t, "guest", soon, x509.ExtKeyUsageClientAuth)
	a := s.address
	a.Certificates = s.ca.directory(t, pair)
	out := run(t, "nbdinfo", a.String())
	require.Contains(t, out, "protocol: newstyle-fixed with TLS, using structured packets")
	require.Contains(t, run(t, "nbdinfo", "--list", a.String()), `export="root"`)
	run(t, "nbdcopy", "--flush", "--connections=4", image, a.String())
	back := filepath.Join(t.TempDir(), "back")
	run(t, "nbdcopy", "--connections=4", a.String(), back)
	same(t, image, back)

	require.NoError(t, d.Zero(t.Context(), block.Range{Len: size}, 0))
	run(t, "qemu-img", "convert", "-n", "--object", qemuTLS(a.Certificates), "-f", "raw", image, "--target-image-opts",
		qemuImage(t, a))
	require.Contains(t, run(t, "qemu-img", "compare", "--object", qemuTLS(a.Certificates), "--image-opts",
		qemuImage(t, a), "driver=raw,file.driver=file,file.filename="+image), "identical")

	for name, pair := range map[string]tls.Certificate{
		"somebody else": s.ca.sign(t, "other", soon, x509.ExtKeyUsageClientAuth),
		"of another CA": newTestCA(t).sign(t, "guest", soon, x509.ExtKeyUsageClientAuth),
		"expired":       s.ca.sign(t, "guest", time.Now().Add(-time.Minute), x509.ExtKeyUsageClientAuth),
	} {
		a.Certificates = s.ca.directory(t, pair)
		refused(t, name, "nbdinfo", a.String())
		refused(t, name, "qemu-img", "info", "--object", qemuTLS(a.Certificates), "--image-opts", qemuImage(t, a))
	}
	refused(t, "no TLS", "nbdinfo", "nbd://"+a.Host+"/root")
	refused(t, "no TLS", "qemu-img", "info", "nbd://"+a.Host+"/root")
}

func qemuTLS(dir string) string { return "tls-creds-x509,id=tls,endpoint=client,dir=" + dir }

func qemuImage(t *testing.T, a Address) string {
	t.Helper()
	host, port, err := net.SplitHostPort(a.Host)
	require.NoError(t, err)
	return fmt.Sprintf("driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=%s,file.server.port=%s,"+
		"file.export=%s,file.tls-creds=tls", host, port, a.Name)
}

// refused runs a foreign program that is not to succeed, and not to wait for ever.
func refused(t *testing.T, why, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program(t, name), args...).CombinedOutput()
	require.NoError(t, ctx.Err())
	require.Errorf(t, err, "%s: %s %v\n%s", why, name, args, out)
}

func TestForeign_fioVerifies(t *testing.T) {
	program(t, "fio")
	const size = 8 << 20
	file, err := filedev.Open(filepath.Join(t.TempDir(), "disk"), filedev.Options{SizeBytes: size})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	for _, d := range []block.Device{newMem(t, size), file} {
		a := serveDevice(t, d, nil)
		run(t, "fio", "--name=verify", "--ioengine=nbd", "--uri="+a.String(), "--rw=randwrite", "--bsrange=512-128k",
			"--bs_unaligned=0", "--blockalign=512", fmt.Sprintf("--size=%d", size), "--iodepth=32", "--verify=crc32c",
			"--do_verify=1", "--verify_fatal=1", "--verify_state_save=0", "--thread", "--fsync=64", "--randseed=1")
	}
}

func same(t *testing.T, a, b string) {
	t.Helper()
	left, err := os.ReadFile(a)
	require.NoError(t, err)
	right, err := os.ReadFile(b)
	require.NoError(t, err)
	require.True(t, bytes.Equal(left, right), "%s and %s differ", a, b)
}
