package system

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// disk is what a guest sees: one block device that stays while engines and hosts behind it come and
// go. QEMU's NBD client connects to the volume's export, and again whenever that goes away, and sends
// again what was not answered; its server shows the same bytes to fio.
type disk struct {
	c       *cluster
	volume  string
	dir     string
	relay   *exec.Cmd
	ended   chan error
	started int
}

// newDisk plugs a volume's export into a relay of its own.
func newDisk(c *cluster, volume, export string) *disk {
	c.t.Helper()
	need(c.t, "fio", "qemu-nbd")
	d := &disk{c: c, volume: volume, dir: filepath.Join(c.dir, "guest-"+volume)}
	require.NoError(c.t, os.Mkdir(d.dir, 0o700))
	d.plug(export)
	d.powerOn()
	c.t.Cleanup(d.powerOff)
	return d
}

func (d *disk) socket() string { return filepath.Join(d.dir, "nbd.sock") }

// plug names the export that the next connection goes to.
func (d *disk) plug(export string) {
	d.c.t.Helper()
	u, err := url.Parse(export)
	require.NoError(d.c.t, err)
	next := filepath.Join(d.dir, "next")
	require.NoError(d.c.t, os.Symlink(u.Query().Get("socket"), next))
	require.NoError(d.c.t, os.Rename(next, filepath.Join(d.dir, "export")))
}

// reconnectSeconds is how long the guest's requests wait for a connection: longer than any round.
const reconnectSeconds = 300

// powerOn starts the relay.
func (d *disk) powerOn() {
	t := d.c.t
	t.Helper()
	d.started++
	log, err := os.Create(filepath.Join(d.dir, fmt.Sprintf("relay%d.log", d.started)))
	require.NoError(t, err)
	defer log.Close()
	d.relay = exec.Command("qemu-nbd", "--persistent", "--shared=8", "--export-name=disk", "--socket="+d.socket(),
		"--image-opts", fmt.Sprintf("driver=nbd,server.type=unix,server.path=%s,export=%s,reconnect-delay=%d,"+
			"open-timeout=60", filepath.Join(d.dir, "export"), d.volume, reconnectSeconds))
	d.relay.Stdout, d.relay.Stderr = log, log
	require.NoError(t, d.relay.Start())
	ended := make(chan error, 1)
	d.ended = ended
	relay := d.relay
	go func() { ended <- relay.Wait() }()
	require.Eventually(t, func() bool {
		r := run(t, time.Minute, nil, "nbdinfo", "--size", d.url())
		return r.code == 0
	}, time.Minute, 50*time.Millisecond, "the guest's disk does not come up")
}

func (d *disk) url() string { return "nbd+unix:///disk?socket=" + d.socket() }

// powerOff ends the relay with all that it had not sent, as the end of the guest's host does.
func (d *disk) powerOff() {
	if d.relay == nil {
		return
	}
	_ = d.relay.Process.Kill() // it may have ended already
	<-d.ended
	d.relay = nil
	_ = os.Remove(d.socket())
}

// guestDiskMiB is the size of a guest's disk. The load uses less than half, other writers the rest.
const guestDiskMiB = 256

// load is fio writing a part of the disk once over, in random order, with flushes between. The small
// blocks hold a pattern made of the number and of where they are, so that a block of another round or
// of another place is as wrong as a torn one; the large ones have fio's own header and checksum.
type load struct {
	disk   *disk
	number int
}

func (l load) arguments(more ...string) []string {
	pattern := fmt.Sprintf("--verify_pattern=%%o0x%08x", 0x10000000+l.number)
	common := append([]string{"--ioengine=nbd", "--uri=" + l.disk.url(), "--thread", "--rw=randwrite",
		fmt.Sprintf("--randseed=%d", l.number), "--verify_fatal=1", "--eta=never",
		"--clat_percentiles=0"}, more...)
	return append(common,
		"--verify_state_save=0", "--name=blocks", "--bs=4k", "--size=8M", "--iodepth=16", "--verify=pattern", pattern,
		"--name=sectors", "--bs=512", "--offset=16M", "--size=512k", "--iodepth=4", "--verify=pattern", pattern,
		"--name=large", "--bs=64k", "--offset=32M", "--size=64M", "--iodepth=4", "--verify=crc32c",
		"--name=odd", "--bs=20k", "--offset=96M", "--size=20M", "--iodepth=8", "--verify=crc32c")
}

// loadLimit is how long fio may take: it waits while something is down, and never that long.
const loadLimit = 4 * time.Minute

// running is a load that writes. Wait for it, or kill it.
type running struct {
	load
	cmd   *exec.Cmd
	out   *strings.Builder
	ended chan error
}

// unhurried makes each job of a load as slow as a guest with something else to do, so that a load
// takes some seconds: time for something to fail.
const unhurried = "--rate_iops=500"

// start starts to write; what was written is read back and compared all the while and in the end.
// fsync now and then, and at the end: all of it is flushed.
func (l load) start(more ...string) *running {
	t := l.disk.c.t
	t.Helper()
	r := &running{load: l, out: &strings.Builder{}, ended: make(chan error, 1)}
	more = append([]string{"--verify_backlog=128", "--fsync=64", "--end_fsync=1"}, more...)
	r.cmd = exec.Command("fio", l.arguments(more...)...)
	r.cmd.Dir = l.disk.dir
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	require.NoError(t, r.cmd.Start())
	go func() { r.ended <- r.cmd.Wait(); close(r.ended) }()
	t.Cleanup(r.kill) // left alone it would report the errors of a disk that is gone, gigabytes of them
	return r
}

// wait waits until everything is written and compared.
func (r *running) wait() {
	t := r.disk.c.t
	t.Helper()
	select {
	case err := <-r.ended:
		require.NoErrorf(t, err, "fio\n%s", r.out)
	case <-time.After(loadLimit):
		r.kill()
		t.Fatalf("fio has not ended after %s\n%s", loadLimit, r.out)
	}
}

// kill ends the writer in the middle.
func (r *running) kill() {
	_ = r.cmd.Process.Kill() // it may have ended already
	<-r.ended
}

// verify reads and compares everything that this load wrote, by a program that remembers nothing.
func (l load) verify() {
	t := l.disk.c.t
	t.Helper()
	r := run(t, loadLimit, nil, "fio", l.arguments("--verify_only")...)
	require.Zerof(t, r.code, "fio: load %d is not all there\n%s%s", l.number, r.stdout, r.stderr)
}

// TestLoad_findsWhatItShould holds the instrument to account: one block of the load before, one
// block elsewhere, one flipped bit are each found.
func TestLoad_findsWhatItShould(t *testing.T) {
	need(t, "qemu-io")
	c := up(t, 1)
	c.ok("volume", "create", "disk", "--size", fmt.Sprintf("%dM", guestDiskMiB), "--layout", "mirror=1")
	d := newDisk(c, "disk", c.attach("disk", "n1"))
	load{d, 1}.start().wait()
	load{d, 1}.verify()
	second := load{d, 2}
	fails := func() bool {
		r := run(t, loadLimit, nil, "fio", second.arguments("--verify_only")...)
		return r.code != 0
	}
	require.True(t, fails(), "the load before")
	second.start().wait()
	for _, offset := range []string{"4096", "16M", "33M", "97M"} {
		qemuIO(t, d.url(), "write -P 9 "+offset+" 512")
		require.Truef(t, fails(), "a sector at %s", offset)
		second.start().wait()
		second.verify()
	}
}
