package system

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/iscsi"
)

// TestISCSI_foreignInitiatorsUseTheDiskThatNBDIs attaches a volume that is exported by iSCSI, too, and has libiscsi's
// tools and QEMU look at it, write by one export and read by the other.
func TestISCSI_foreignInitiatorsUseTheDiskThatNBDIs(t *testing.T) {
	needISCSI(t)
	c := up(t, 3)
	c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	portal := freePort(t)
	c.ok("volume", "export", "disk", "--iscsi", portal)
	secret := c.exportSecret("disk")
	nbd := c.attach("disk", "n3")
	plain := c.offered("disk")
	require.Contains(t, plain, "iscsi://"+portal+"/iqn.2026-11.io.holdfast:vol.")
	url := strings.Replace(plain, "iscsi://", "iscsi://disk%"+secret+"@", 1)

	list := run(t, time.Minute, nil, "iscsi-ls", "iscsi://"+portal)
	require.Contains(t, list.stdout, "Target:"+strings.Split(plain, "/")[3], "discovery names what there is")
	require.NotZero(t, run(t, time.Minute, nil, "iscsi-inq", plain).code, "without the secret there is no disk")
	inquiry := run(t, time.Minute, nil, "iscsi-inq", url)
	require.Contains(t, inquiry.stdout, "Vendor:HOLDFAST", inquiry.stderr)
	capacity := run(t, time.Minute, nil, "iscsi-readcapacity16", url)
	require.Contains(t, capacity.stdout, fmt.Sprint("Total size:", 64<<20), capacity.stderr)

	qemuIO(t, url, pattern("write", 7, 64), "write -P 9 1M 9M", "write -f -P 8 12M 64k", "flush", "discard 2M 1M",
		"write -z 4M 64k", pattern("read", 7, 64))
	qemuIO(t, nbd, pattern("read", 7, 64), "read -P 9 5M 5M", "read -P 8 12M 64k", "read -P 0 2M 1M",
		"read -P 0 4M 64k", "write -P 5 20M 1M")
	qemuIO(t, url, "read -P 5 20M 1M")
	compared := run(t, time.Minute, nil, "qemu-img", "compare", "-f", "raw", "-F", "raw", url, nbd)
	require.Zero(t, compared.code, compared.stdout+compared.stderr)
	require.Empty(t, compared.stderr, "QEMU has nothing to complain of")

	c.ok("volume", "detach", "disk")
	require.NotZero(t, run(t, time.Minute, nil, "iscsi-inq", url).code, "nobody answers for a volume that is detached")
	c.ok("volume", "export", "disk", "--iscsi", "off")
	c.attach("disk", "n3")
	require.NotZero(t, run(t, time.Minute, nil, "iscsi-inq", url).code)
}

// TestISCSI_theGuestsDeviceStaysAndDoesNotMove ends the engine again and again under a guest that is plugged in by
// iSCSI: it logs in again by itself, to the next engine, and loses nothing. Then the volume is taken over by another
// host: there the guest is refused, since it would go on with a disk that may have changed.
func TestISCSI_theGuestsDeviceStaysAndDoesNotMove(t *testing.T) {
	needISCSI(t)
	c := up(t, 3)
	c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	portal := freePort(t)
	c.ok("volume", "export", "disk", "--iscsi", portal, "--open")
	c.attach("disk", "n3")
	offer := c.offered("disk")
	disk := plugISCSI(t, portal, strings.Split(offer, "/")[3])
	block, beats := make([]byte, 4096), uint64(0)
	beat := func() {
		require.NoError(t, disk.Read(t.Context(), block, 1<<20))
		require.Equal(t, beats, binary.LittleEndian.Uint64(block), "what was flushed before the engine died is gone")
		beats++
		binary.LittleEndian.PutUint64(block, beats)
		require.NoError(t, disk.Write(t.Context(), block, 1<<20, 0))
		require.NoError(t, disk.Flush(t.Context()))
	}
	beat()
	for range rounds(t, 3) {
		before := c.endEngine("disk")
		beat()
		c.eventually(time.Minute, "the new engine is known", func() bool {
			a := c.volume("disk").Attachment
			return a != nil && a.EnginePID != 0 && a.EnginePID != before.Attachment.EnginePID
		})
		require.Greater(t, c.volume("disk").Epoch, before.Epoch)
		require.Equal(t, offer, c.offered("disk"), "the export stays what it was")
	}
	// A daemon that starts holds no socket of an engine that it did not start: the next engine has the port again.
	c.node("stop", "n3")
	c.node("start", "n3")
	c.endEngine("disk")
	beat()
	require.Equal(t, offer, c.offered("disk"))

	c.attach("disk", "n1", "--takeover")
	moved := c.offered("disk")
	require.NotEqual(t, offer, moved)
	require.Error(t, disk.Write(t.Context(), block, 1<<20, 0), "the guest goes on as if nothing had been")
	require.NotZero(t, run(t, time.Minute, nil, "iscsi-inq", offer).code, "what was before is not served")
	image := filepath.Join(c.dir, "image")
	copied := run(t, time.Minute, nil, "qemu-img", "convert", "-f", "raw", "-O", "raw", moved, image)
	require.Zero(t, copied.code, copied.stderr)
	binary.LittleEndian.PutUint64(block, beats)
	content, err := os.ReadFile(image)
	require.NoError(t, err)
	require.Equal(t, block[:8], content[1<<20:1<<20+8])
}

// TestISCSI_aPortThatIsTakenHarmsNothingElse lets the volume be served, with a finding that says what is wrong.
func TestISCSI_aPortThatIsTakenHarmsNothingElse(t *testing.T) {
	needISCSI(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	c := up(t, 1)
	c.ok("volume", "create", "disk", "--size", "16M", "--layout", "mirror=1")
	c.ok("volume", "export", "disk", "--iscsi", taken.Addr().String(), "--open")
	qemuIO(t, c.attach("disk", "n1"), pattern("write", 3, 0))
	c.eventually(time.Minute, "a finding", func() bool {
		r := c.run(time.Minute, "health")
		return strings.Contains(r.stdout, "volume disk has no export iscsi on n1: "+taken.Addr().String())
	})
	require.NoError(t, taken.Close())
	require.Zero(t, run(t, time.Minute, nil, "iscsi-inq", c.offered("disk")).code)
	c.eventually(time.Minute, "no finding", func() bool {
		return !strings.Contains(c.run(time.Minute, "health").stdout, "has no export")
	})
}

// needISCSI skips the test without libiscsi's tools and QEMU with its iSCSI driver.
func needISCSI(t *testing.T) {
	t.Helper()
	need(t, "iscsi-inq", "qemu-img", "qemu-io")
	drivers, err := filepath.Glob("/usr/lib/*/qemu/block-iscsi.so")
	require.NoError(t, err)
	if len(drivers) == 0 {
		need(t, "QEMU's driver for iSCSI, qemu-block-extra,")
	}
}

// freePort returns an address on loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// exportSecret returns what a guest has to prove.
func (c *cluster) exportSecret(name string) string {
	c.t.Helper()
	var secrets []struct{ Kind, User, Secret string }
	out := c.ok("volume", "export", name, "--secret", "-o", "json")
	require.True(c.t, decode(out, &secrets), out)
	require.Len(c.t, secrets, 1)
	require.Equal(c.t, name, secrets[0].User)
	return secrets[0].Secret
}

// offered waits until the volume is offered by iSCSI, and returns its URL.
func (c *cluster) offered(name string) string {
	c.t.Helper()
	var url string
	c.eventually(time.Minute, "an offer of iSCSI", func() bool {
		var v struct {
			Attachment *struct{ Exports []struct{ Type, URL string } }
		}
		c.object(&v, "volume", "show", name)
		if v.Attachment == nil {
			return false
		}
		for _, e := range v.Attachment.Exports {
			if e.Type == "iscsi" {
				url = e.URL
			}
		}
		return url != ""
	})
	return url
}

// plugISCSI logs in as a guest's initiator that logs in again by itself.
func plugISCSI(t *testing.T, portal, name string) *initiator.LUN {
	t.Helper()
	disk, err := initiator.OpenLUN(t.Context(), initiator.LUNOptions{
		Session: initiator.Options{TargetName: name, InitiatorName: "iqn.2026-11.com.example:guest",
			ISID: iscsi.ISID{0x80, 1}},
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", portal)
		},
		RequestTimeout: 15 * time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = disk.Close() }) // its server may be gone
	return disk
}

// TestISCSI_QEMUGoesOnOverARestartOfTheEngine ends the engine while QEMU writes through libiscsi, which logs in again.
func TestISCSI_QEMUGoesOnOverARestartOfTheEngine(t *testing.T) {
	needISCSI(t)
	c := up(t, 3)
	c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	c.ok("volume", "export", "disk", "--iscsi", freePort(t), "--open")
	nbd := c.attach("disk", "n3")
	url := c.offered("disk")
	// Each write takes at least a millisecond of the limit's time, so that the engine is ended amid them.
	c.ok("volume", "set", "disk", "--limit-iops", "1000", "--limit-burst", "100ms")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	writer := exec.CommandContext(ctx, "qemu-img", "bench", "-w", "-f", "raw", "-c", "6000", "-d", "8", "-s", "8192",
		"-S", "8192", "--pattern=77", "--flush-interval=500", url)
	var said bytes.Buffer
	writer.Stdout, writer.Stderr = &said, &said
	require.NoError(t, writer.Start())
	c.eventually(time.Minute, "it writes", func() bool {
		r := tryQemuIO(t, nbd, "read -P 77 1M 64k")
		return r.code == 0 && !strings.Contains(r.stdout, "verification failed")
	})
	before := c.endEngine("disk")
	require.NoError(t, writer.Wait(), &said)
	require.Greater(t, c.volume("disk").Epoch, before.Epoch, "the engine was ended amid it")
	qemuIO(t, nbd, "read -P 77 0 46M")
}
