package system

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/domain/qmp"
	"github.com/holdfast-storage/holdfast/tests/linuxguest"
)

// linux is a machine with Debian's kernel, in emulation: its root is an ext4 file system on a volume of two legs, and
// it counts in a file there, with fsync before each report.
type linux struct{ machine }

// linuxParts returns what the guest is made of, or skips where that cannot be had.
func linuxParts(t *testing.T) linuxguest.Parts {
	t.Helper()
	need(t, "qemu-system-x86_64", "qemu-img", "mke2fs", "e2fsck")
	cache, err := linuxguest.CacheDir()
	var parts linuxguest.Parts
	if err == nil {
		parts, err = linuxguest.Fetch(t.Context(), cache)
	}
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	return parts
}

func startLinux(t *testing.T) linux {
	t.Helper()
	return startLinuxWith(t, "")
}

// startLinuxWith starts it with more of QEMU's settings, each with a comma before it.
func startLinuxWith(t *testing.T, more string) linux {
	t.Helper()
	parts, dir := linuxParts(t), t.TempDir()
	root, initrd := filepath.Join(dir, "root.ext4"), filepath.Join(dir, "initrd")
	require.NoError(t, parts.Root(t.Context(), root, 64<<20))
	require.NoError(t, parts.Initrd(t.Context(), initrd))
	l := linux{machine{t, up(t, 5)}}
	l.c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	r := l.c.foreign(time.Minute, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", root, l.c.attach("disk", "n4"))
	require.Zero(t, r.code, r.stderr)
	l.c.ok("volume", "detach", "disk")
	file := filepath.Join(dir, "machine.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `name: machine
driver: qemu
memory: %dM
boot: {kernel: %s, initrd: %s, command_line: %s}
volumes: [{name: disk, device: vda}]
hosts: [n4, n5]
stop_timeout: 1m
qemu: {accelerator: tcg, cpu: "max,-cx16"%s}
`, linuxguest.Memory>>20, parts.Kernel(), initrd, linuxguest.CommandLine, more), 0o600))
	l.c.ok("domain", "define", "-f", file)
	l.c.ok("domain", "start", "machine")
	l.counts("n4")
	return l
}

// console returns all that the guests on a host have written to their serial line.
func (l linux) console(node string) string {
	l.t.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir(node), "console.log"))
	if os.IsNotExist(err) {
		return ""
	}
	require.NoError(l.t, err)
	return string(text)
}

func (l linux) synced(node string) []uint64 { return linuxguest.Synced(l.console(node)) }

// counts waits until the guest on a host reports some more numbers than it has.
func (l linux) counts(node string) {
	l.t.Helper()
	enough := len(l.synced(node)) + 5
	l.c.eventually(2*time.Minute, "the guest on "+node+" counts", func() bool { return len(l.synced(node)) >= enough })
}

// last returns the last number that was reported on a host: it is kept, whatever becomes of the host.
func (l linux) last(node string) uint64 {
	l.t.Helper()
	all := l.synced(node)
	require.NotEmpty(l.t, all)
	require.True(l.t, slices.IsSorted(all), "%s: %v", node, all)
	return all[len(all)-1]
}

// wentOnBehind holds that the latest guest on a host found all that had been reported elsewhere.
func (l linux) wentOnBehind(node string, kept uint64) {
	l.t.Helper()
	began := linuxguest.Began(l.console(node))
	require.NotEmpty(l.t, began)
	require.GreaterOrEqual(l.t, began[len(began)-1], kept, "a number that was reported as synced is lost")
	l.t.Logf("%d was reported as synced, %s goes on from %d", kept, node, began[len(began)-1])
}

// other returns the host that the guest is not on.
func (l linux) other(node string) string {
	if node == "n4" {
		return "n5"
	}
	return "n4"
}

// stop stops the guest by its power button, and returns the volume's content, which is a clean file system.
func (l linux) stop(node string) [sha256.Size]byte {
	l.t.Helper()
	pressed := strings.Count(l.console(node), "guest: the power button")
	l.c.ok("domain", "stop", "machine")
	require.Equal(l.t, pressed+1, strings.Count(l.console(node), "guest: the power button"))
	return l.content(node)
}

// content reads the whole volume on a host, and checks the file system on it without mending anything.
func (l linux) content(node string) [sha256.Size]byte {
	l.t.Helper()
	image := filepath.Join(l.t.TempDir(), "back.img")
	r := l.c.foreign(2*time.Minute, "qemu-img", "convert", "-f", "raw", "-O", "raw", l.c.attach("disk", node), image)
	require.Zero(l.t, r.code, r.stderr)
	l.c.ok("volume", "detach", "disk")
	r = run(l.t, time.Minute, nil, "e2fsck", "-f", "-n", image)
	require.Zero(l.t, r.code, "%s%s", r.stdout, r.stderr)
	require.NotContains(l.t, r.stdout+r.stderr, "journal recovery", "it was not unmounted in order")
	text, err := os.ReadFile(image)
	require.NoError(l.t, err)
	return sha256.Sum256(text)
}

// freeze stops the guest's host, with the daemon, the engine and the guest, for as long as its clone needs to come up
// elsewhere, count and end. Then the host wakes up, and must not change a thing. before and after are what is done to
// the guest's own process on the way.
func (l linux) freeze(before, after func(socket string)) {
	l.t.Helper()
	d := l.show()
	host, other := d.Host, l.other(d.Host)
	id, err := proc.Identify(d.PID)
	require.NoError(l.t, err)
	socket := filepath.Join(l.dir(host), "qmp.sock")
	before(socket)
	l.c.ok("dev", "pause", host, "--dir", l.c.dir)
	kept := l.last(host)
	l.counts(other)
	l.wentOnBehind(other, kept)
	content := l.stop(other)

	l.c.ok("dev", "resume", host, "--dir", l.c.dir)
	after(socket)
	l.c.eventually(time.Minute, "the old guest is dead", func() bool { return !id.Alive() })
	require.Equal(l.t, kept, l.last(host), "the old guest reported a number after it woke")
	require.Equal(l.t, content, l.content(other), "the old guest wrote after it woke")

	kept = l.last(other)
	l.c.ok("domain", "start", "machine")
	host = l.show().Host
	l.counts(host)
	l.wentOnBehind(host, kept)
}

// TestLinuxGuest_hostFrozen: the clocks of the guest jump when it wakes.
func TestLinuxGuest_hostFrozen(t *testing.T) {
	l := startLinux(t)
	nothing := func(string) {}
	for range rounds(t, 1) {
		l.freeze(nothing, nothing)
	}
}

// TestLinuxGuest_haltedOnAFrozenHost is the cruel one: the guest is halted by QEMU before its host freezes, so that its
// own clocks know of nothing, and it is let go on as soon as the host wakes.
func TestLinuxGuest_haltedOnAFrozenHost(t *testing.T) {
	l := startLinux(t)
	for range rounds(t, 1) {
		l.freeze(func(socket string) {
			require.NoError(t, qmp.Call(t.Context(), socket, "stop", nil, nil))
		}, func(socket string) {
			_ = qmp.Call(t.Context(), socket, "cont", nil, nil) // it may have been killed by then
		})
	}
}

// TestLinuxGuest_storageNodeDiesWhileItBoots: the guest is taken from its host without a word, and one of the two legs
// dies while its clone replays the journal of its root.
func TestLinuxGuest_storageNodeDiesWhileItBoots(t *testing.T) {
	l := startLinux(t)
	host := "n4"
	for i := range rounds(t, 1) {
		other, dies := l.other(host), []string{"n2", "n1"}[i%2]
		boots := strings.Count(l.console(other), "guest: mounts its root")
		l.c.ok("domain", "failover", "machine", "--to", other)
		kept := l.last(host)
		l.c.eventually(2*time.Minute, "the clone boots", func() bool {
			return strings.Count(l.console(other), "guest: mounts its root") > boots
		})
		l.c.ok("dev", "kill", dies, "--dir", l.c.dir)
		l.counts(other)
		l.wentOnBehind(other, kept)
		l.stop(other)
		kept = l.last(other)

		l.c.ok("dev", "start", dies, "--dir", l.c.dir)
		l.c.ok("domain", "start", "machine")
		host = l.show().Host
		l.counts(host)
		l.wentOnBehind(host, kept)
		l.c.waitInSync("disk", 2)
	}
}
