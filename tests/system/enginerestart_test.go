package system

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/export/nbd"
)

// TestEngineRestart_theGuestsDeviceStays kills the engine again and again while fio writes and compares
// through QEMU's block layer, as a guest's disk: the daemon starts the next one on the same socket, under a
// new epoch, and the guest sees a pause and no error. HOLDFAST_ROUNDS says how often; ten times without it.
func TestEngineRestart_theGuestsDeviceStays(t *testing.T) {
	need(t, "fio", "qemu-storage-daemon", "nbdinfo")
	c := up(t, 3)
	c.ok("volume", "create", "disk", "--size", fmt.Sprintf("%dM", guestDiskMiB), "--layout", "mirror=2",
		"--legs-on", "n1,n2")
	export := c.attachBound("disk", "n3")
	d := newStorageDaemon(c, "disk", export, time.Minute)
	probe := newProbe(t, d)

	var stalls []time.Duration
	writer := load{d, 1}.start(unhurried)
	for number := range rounds(t, 10) {
		if number%5 != 4 { // now and then again at once, before the engine counts as sound
			<-time.After(soundEngine)
		}
		select {
		case err := <-writer.ended:
			require.NoErrorf(t, err, "fio\n%s", writer.out)
			writer.verify()
			writer = load{d, writer.number + 1}.start(unhurried)
		default:
		}
		before := c.served("disk")
		killed := time.Now()
		require.NoError(t, syscall.Kill(before.Attachment.EnginePID, syscall.SIGKILL))
		probe.beat(t)
		stalls = append(stalls, time.Since(killed))
		after := c.volume("disk")
		require.Greater(t, after.Epoch, before.Epoch, "a new engine takes a new epoch")
		c.eventually(time.Minute, "the new engine is known", func() bool {
			a := c.volume("disk").Attachment
			return a != nil && a.EnginePID != 0 && a.EnginePID != before.Attachment.EnginePID
		})
	}
	writer.wait()
	writer.verify()
	require.Equal(t, export, c.attachBound("disk", "n3"), "the export stays what it was")
	slices.Sort(stalls)
	t.Logf("%d restarts of the engine under %d loads; the guest waited %s (median), %s (longest)", len(stalls),
		writer.number, stalls[len(stalls)/2].Round(time.Millisecond), stalls[len(stalls)-1].Round(time.Millisecond))
}

// TestEngineRestart_aGuestDoesNotGoOnWithALoss cuts the power of all legs under a guest that waits for its
// disk. The volume serves again, without what was never flushed; whoever was plugged in before does not get at it.
func TestEngineRestart_aGuestDoesNotGoOnWithALoss(t *testing.T) {
	need(t, "qemu-storage-daemon", "nbdinfo", "qemu-io")
	s := upWithDisks(t)
	s.ok("volume", "create", "disk", "--size", fmt.Sprintf("%dM", guestDiskMiB), "--layout", "mirror=2",
		"--legs-on", "n1,n2")
	bound := s.attachBound("disk", "n4")
	probe := newProbe(t, newStorageDaemon(s.cluster, "disk", bound, 20*time.Second))
	probe.beat(t)
	require.NoError(t, probe.device.Write(t.Context(), make([]byte, 4096), probeOffset, 0)) // never flushed
	epoch := s.volume("disk").Epoch
	s.cutPower("n1", "n2", "n3")
	s.start(siteNodes)
	plain := s.attachAfter("disk", "n4", epoch)

	require.Error(t, probe.device.Read(t.Context(), make([]byte, 4096), probeOffset),
		"the guest goes on as if nothing had been")
	require.NotZero(t, run(t, time.Minute, nil, "nbdinfo", "--size", bound).code, "what was before is not served")
	qemuIO(t, plain, "read 0 64k")
	again := s.attachBound("disk", "n4")
	require.NotEqual(t, bound, again)
	qemuIO(t, again, "read 0 64k")
}

// attachBound attaches a volume and returns the URL for a guest that connects again by itself.
func (c *cluster) attachBound(name, host string) string {
	c.t.Helper()
	var a struct {
		Exports []struct {
			BoundURL string `json:"bound_url"`
		}
	}
	c.object(&a, "volume", "attach", name, "--host", host)
	require.NotEmpty(c.t, a.Exports)
	require.NotEmpty(c.t, a.Exports[0].BoundURL)
	return a.Exports[0].BoundURL
}

// soundEngine is longer than an engine has to serve before its end is met without a pause.
const soundEngine = 3500 * time.Millisecond

// newStorageDaemon shows a volume's export to a guest through qemu-storage-daemon, with the very blockdev
// that docs/operations.md has for QEMU.
func newStorageDaemon(c *cluster, volume, export string, delay time.Duration) *disk {
	t := c.t
	t.Helper()
	address, err := nbd.ParseURL(export)
	require.NoError(t, err)
	d := &disk{c: c, volume: volume, dir: filepath.Join(c.dir, "guest-"+volume)}
	require.NoError(t, os.Mkdir(d.dir, 0o700))
	log, err := os.Create(filepath.Join(d.dir, "storage-daemon.log"))
	require.NoError(t, err)
	defer log.Close()
	d.relay = exec.Command("qemu-storage-daemon",
		"--blockdev", fmt.Sprintf("driver=nbd,node-name=disk,server.type=unix,server.path=%s,export=%s,"+
			"reconnect-delay=%d", address.Socket, address.Name, int(delay.Seconds())),
		"--nbd-server", "addr.type=unix,max-connections=8,addr.path="+d.socket(),
		"--export", "type=nbd,id=guest,node-name=disk,name=disk,writable=on")
	d.relay.Stdout, d.relay.Stderr = log, log
	require.NoError(t, d.relay.Start())
	ended := make(chan error, 1)
	d.ended = ended
	go func() { ended <- d.relay.Wait() }()
	t.Cleanup(d.powerOff)
	require.Eventually(t, func() bool {
		return run(t, time.Minute, nil, "nbdinfo", "--size", d.url()).code == 0
	}, time.Minute, 50*time.Millisecond, "the guest's disk does not come up")
	return d
}

// probe is a guest's program that wants one block now and then, where no load writes. Its block holds how
// often it was written.
type probe struct {
	device block.Device
	beats  uint64
}

const probeOffset = 200 << 20

func newProbe(t *testing.T, d *disk) *probe {
	t.Helper()
	device, err := nbd.Dial(t.Context(), nbd.Address{Socket: d.socket(), Name: "disk"}, nbd.ClientOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = device.Close() }) // its server may be gone
	return &probe{device: device}
}

// beat finds the block as it was left, and writes it once more; it returns when that is flushed.
func (p *probe) beat(t *testing.T) {
	t.Helper()
	b := make([]byte, 4096)
	require.NoError(t, p.device.Read(t.Context(), b, probeOffset))
	require.Equal(t, p.beats, binary.LittleEndian.Uint64(b), "what was flushed before the engine died is not there")
	p.beats++
	binary.LittleEndian.PutUint64(b, p.beats)
	require.NoError(t, p.device.Write(t.Context(), b, probeOffset, 0))
	require.NoError(t, p.device.Flush(t.Context()))
}
