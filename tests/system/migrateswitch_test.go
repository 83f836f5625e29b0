package system

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// migrateUntilItSwitches begins a migration from n4 to n5 and returns at the moment that it has switched. The guest is
// halted then on the one, and does not run yet on the other, which has none of its disks.
func (m machine) migrateUntilItSwitches() {
	m.t.Helper()
	cmd := exec.Command(os.Getenv(binaryEnv), "events", "--follow")
	cmd.Env = append(os.Environ(), m.c.env...)
	out, err := cmd.StdoutPipe()
	require.NoError(m.t, err)
	require.NoError(m.t, cmd.Start())
	m.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it follows for ever
		_ = cmd.Wait()
	})
	switched := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "is on n5 now, where it runs on") {
				close(switched)
				return
			}
		}
	}()
	m.c.ok("domain", "migrate", "machine", "--to", "n5", "--no-wait")
	select {
	case <-switched:
	case <-time.After(time.Minute):
		m.t.Fatal("the migration does not switch")
	}
}

// daemon returns the process of a node's daemon.
func (m machine) daemon(node string) int {
	m.t.Helper()
	for _, n := range m.c.nodes() {
		if n.Name == node {
			require.NotZero(m.t, n.PID)
			return n.PID
		}
	}
	m.t.Fatalf("no node %s", node)
	return 0
}

// taker returns the QEMU that takes the guest in on a host.
func (m machine) taker(node string) proc.ID {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir(node), "qemu.json"))
	require.NoError(m.t, err)
	var record struct{ Proc proc.ID }
	require.NoError(m.t, json.Unmarshal(text, &record))
	return record.Proc
}

// bootedAfter holds that the guest was booted on a host with all that the one on n4 had reported until it was halted.
func (m machine) bootedAfter(node string, before []uint64) {
	m.t.Helper()
	m.progress(node)
	all := m.reported(node)
	if node == "n4" {
		all = all[len(before):]
	}
	require.NotEmpty(m.t, all)
	require.GreaterOrEqual(m.t, all[0], before[len(before)-1], "a number that was reported is lost")
	require.Equal(m.t, node, m.show().Host)
}

// TestMigrate_theNewHostDiesAfterTheSwitch: there is no way back, so the guest, which was in that host's memory alone,
// starts anew from its disks, on the old host as on any other. What it was before never runs again.
func TestMigrate_theNewHostDiesAfterTheSwitch(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	old, err := proc.Identify(m.show().PID)
	require.NoError(t, err)
	daemon := m.daemon("n5")
	m.migrateUntilItSwitches()
	require.NoError(t, syscall.Kill(daemon, syscall.SIGKILL)) // at once, and then all that is left of the host
	m.c.ok("dev", "kill", "n5", "--dir", m.c.dir)
	before := m.reported("n4")
	require.Empty(t, m.reported("n5"), "it died before the guest ran there")
	m.bootedAfter("n4", before)
	require.False(t, old.Alive())
	all := m.migrations()
	require.Len(t, all, 1)
	require.Equal(t, "superseded", all[0].State, all[0].Message)

	// It comes back, with nothing of the guest that it was about to have.
	m.c.start(5)
	m.progress("n4")
	m.c.ok("domain", "migrate", "machine", "--to", "n5")
	m.progress("n5")
	m.wentOn("n4", "n5")
}

// TestMigrate_theGuestThatWasTakenInDiesAfterTheSwitch: its new host starts it anew, from its disks.
func TestMigrate_theGuestThatWasTakenInDiesAfterTheSwitch(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	m.migrateUntilItSwitches()
	taker := m.taker("n5")
	require.NoError(t, proc.Signal([]proc.ID{taker}, syscall.SIGKILL))
	before := m.reported("n4")
	require.Empty(t, m.reported("n5"), "it died before it ran")
	m.bootedAfter("n5", before)
	require.Equal(t, before, m.reported("n4"), "the one that was left counted on")
}

// TestMigrate_theOldHostDiesAfterTheSwitch: its volumes are taken over, and the guest goes on in the new host's memory.
func TestMigrate_theOldHostDiesAfterTheSwitch(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	daemon := m.daemon("n4")
	m.migrateUntilItSwitches()
	require.NoError(t, syscall.Kill(daemon, syscall.SIGKILL))
	m.c.ok("dev", "kill", "n4", "--dir", m.c.dir)
	m.progress("n5")
	a, b := m.reported("n4"), m.reported("n5")
	require.Equal(t, a[len(a)-1]+1, b[0], "it went on with the next number")
	require.Equal(t, "n5", m.show().Host)
}
