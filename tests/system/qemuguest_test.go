package system

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/domain/qmp"
	"github.com/holdfast-storage/holdfast/node/host"
	"github.com/holdfast-storage/holdfast/tests/counter"
)

// machine is a domain of the qemu driver, in emulation: a real guest that counts on its disk, a volume of two legs.
type machine struct {
	t *testing.T
	c *cluster
}

// domainView is what the tests use of `domain show`.
type domainView struct {
	Host, State string
	PID         int
}

func startMachine(t *testing.T) machine {
	t.Helper()
	need(t, "qemu-system-x86_64", "qemu-img")
	m := machine{t, up(t, 5)}
	m.c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	image := filepath.Join(t.TempDir(), "counter.img")
	require.NoError(t, os.WriteFile(image, counter.Disk(), 0o600))
	r := m.c.foreign(time.Minute, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image,
		m.c.attach("disk", "n4"))
	require.Zero(t, r.code, r.stderr)
	m.c.ok("volume", "detach", "disk")
	file := filepath.Join(t.TempDir(), "machine.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`name: machine
driver: qemu
memory: 64M
volumes: [{name: disk, device: vda}]
hosts: [n4, n5]
stop_timeout: 1s
qemu: {accelerator: tcg}
`), 0o600))
	m.c.ok("domain", "define", "-f", file)
	m.c.ok("domain", "start", "machine")
	m.progress("n4")
	return m
}

func (m machine) show() domainView {
	m.t.Helper()
	var d domainView
	m.c.object(&d, "domain", "show", "machine")
	return d
}

// dir returns the directory of the guest on a host.
func (m machine) dir(node string) string {
	m.t.Helper()
	return host.DomainDir(m.c.runDir(node), "machine")
}

// reported returns what the guests on a host have reported, in order.
func (m machine) reported(node string) []uint64 {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir(node), "console.log"))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(m.t, err)
	return counter.Reported(string(text))
}

// progress waits until the guest on a host reports more than it has.
func (m machine) progress(node string) {
	m.t.Helper()
	before := len(m.reported(node))
	m.c.eventually(2*time.Minute, "the guest on "+node+" counts", func() bool { return len(m.reported(node)) > before })
}

// wentOn holds that the guest on the second host began after all that the one on the first had reported, and that
// neither ever counted back.
func (m machine) wentOn(first, second string) {
	m.t.Helper()
	a, b := m.reported(first), m.reported(second)
	require.NotEmpty(m.t, a)
	require.NotEmpty(m.t, b)
	require.True(m.t, slices.IsSorted(a), "%s: %v", first, a)
	require.True(m.t, slices.IsSorted(b), "%s: %v", second, b)
	require.Greater(m.t, b[0], a[len(a)-1], "a number that was reported is lost, or two guests counted")
	m.t.Logf("%s reported %d to %d, %s %d to %d", first, a[0], a[len(a)-1], second, b[0], b[len(b)-1])
}

// TestQEMUGuest_goesOnElsewhereFromTheLastNumberThatItReported freezes the host with everything on it. The guest's
// clock jumps when it wakes; it must be dead by then, or die without another write.
func TestQEMUGuest_goesOnElsewhereFromTheLastNumberThatItReported(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	old := m.show()
	require.Equal(t, "n4", old.Host)
	id, err := proc.Identify(old.PID)
	require.NoError(t, err)
	m.c.ok("dev", "pause", "n4", "--dir", m.c.dir)
	frozen := time.Now()
	m.progress("n5")
	t.Logf("the clone counts %s after its host was frozen", time.Since(frozen).Round(100*time.Millisecond))
	last := m.reported("n4")
	m.c.ok("dev", "resume", "n4", "--dir", m.c.dir)
	m.c.eventually(time.Minute, "the old guest is dead", func() bool { return !id.Alive() })
	m.progress("n5")
	// It may have been frozen between the end of a sync and the word that it has to say of it: that one number is on
	// the disk, and the clone went on from it, as wentOn holds of every number.
	now := m.reported("n4")
	require.LessOrEqual(t, len(now), len(last)+1, "the old guest went on after it woke: %v, then %v", last, now)
	require.Equal(t, last, now[:len(last)])
	m.wentOn("n4", "n5")
}

// TestQEMUGuest_haltedGuestIsKilledWithItsGrant is the cruel one: the clock of a guest that QEMU has halted stands
// still, so to the guest its grant would look fresh for ever. Its host kills the process.
func TestQEMUGuest_haltedGuestIsKilledWithItsGrant(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	id, err := proc.Identify(m.show().PID)
	require.NoError(t, err)
	require.NoError(t, qmp.Call(t.Context(), filepath.Join(m.dir("n4"), "qmp.sock"), "stop", nil, nil))
	m.c.ok("domain", "failover", "machine", "--to", "n5")
	m.c.eventually(time.Minute, "the halted guest is dead", func() bool { return !id.Alive() })
	m.progress("n5")
	m.wentOn("n4", "n5")
}

// TestQEMUGuest_outlivesItsDaemon: the daemon is killed, and the next one goes on with the same process, and ends it.
func TestQEMUGuest_outlivesItsDaemon(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	before := m.show()
	id, err := proc.Identify(before.PID)
	require.NoError(t, err)
	var daemon int
	for _, n := range m.c.nodes() {
		if n.Name == "n4" {
			daemon = n.PID
		}
	}
	require.NotZero(t, daemon)
	require.NoError(t, syscall.Kill(daemon, syscall.SIGKILL))
	m.progress("n4")
	m.c.start(5)
	m.c.eventually(time.Minute, "the guest is adopted", func() bool {
		now := m.show()
		return now.State == "running" && now.PID == before.PID
	})
	m.c.ok("domain", "stop", "machine")
	require.Equal(t, "stopped", m.show().State)
	require.False(t, id.Alive(), "stopped means that nothing of it is left")
}
