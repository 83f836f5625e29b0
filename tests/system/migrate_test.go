package system

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/domain/qmp"
)

// stallMax is how long an idle guest may stand still while it moves.
const stallMax = 2 * time.Second

// operationView is what the tests use of an operation.
type operationView struct {
	ID, Verb, State, Message string
	Failover                 struct {
		From, To string
		Stages   []struct {
			Name    string
			Seconds float64
		}
	}
}

// migrations returns the migrations that are remembered, oldest first.
func (m machine) migrations() []operationView {
	m.t.Helper()
	var all []operationView
	m.c.object(&all, "operation", "list")
	return slices.DeleteFunc(all, func(o operationView) bool { return o.Verb != "migration" })
}

// last returns the latest number that a guest on a host has reported.
func (m machine) last(node string) uint64 {
	m.t.Helper()
	all := m.reported(node)
	require.NotEmpty(m.t, all)
	return all[len(all)-1]
}

// slowly has the memory of the guest on a host be copied so slowly that it takes minutes.
func (m machine) slowly(node string) {
	m.t.Helper()
	require.NoError(m.t, qmp.Call(m.t.Context(), filepath.Join(m.dir(node), "qmp.sock"), "migrate-set-parameters",
		map[string]any{"max-bandwidth": 64 << 10}, nil))
}

// copying begins a migration to another host and returns once the memory is being copied.
func (m machine) copying(from, to string) {
	m.t.Helper()
	m.slowly(from)
	m.c.ok("domain", "migrate", "machine", "--to", to, "--no-wait")
	m.c.eventually(time.Minute, "the memory is copied", func() bool {
		var now struct {
			Status string
			RAM    struct{ Transferred int64 }
		}
		err := qmp.Call(m.t.Context(), filepath.Join(m.dir(from), "qmp.sock"), "query-migrate", nil, &now)
		return err == nil && now.Status == "active" && now.RAM.Transferred > 64<<10
	})
}

// stays holds that the guest counts on where it is, and nothing ever counted on the other host.
func (m machine) stays(on, other string) {
	m.t.Helper()
	m.progress(on)
	require.Equal(m.t, on, m.show().Host)
	require.Empty(m.t, m.reported(other))
	all := m.migrations()
	require.NotEmpty(m.t, all)
	require.Equal(m.t, "aborted", all[len(all)-1].State, all[len(all)-1].Message)
	m.t.Logf("aborted: %s", all[len(all)-1].Message)
}

// growth notes when files grew last, by looking all the time.
type growth struct {
	mu   sync.Mutex // protects what follows
	size map[string]int64
	at   map[string][]time.Time
}

func (m machine) watchConsoles(nodes ...string) *growth {
	g := &growth{size: make(map[string]int64), at: make(map[string][]time.Time)}
	paths := make(map[string]string)
	for _, n := range nodes {
		paths[n] = filepath.Join(m.dir(n), "console.log")
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		look := time.NewTicker(2 * time.Millisecond)
		defer look.Stop()
		for {
			select {
			case <-stop:
				return
			case now := <-look.C:
				g.look(paths, now)
			}
		}
	}()
	m.t.Cleanup(func() {
		close(stop)
		<-done
	})
	return g
}

func (g *growth) look(paths map[string]string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n, path := range paths {
		info, err := os.Stat(path)
		if err != nil || info.Size() == g.size[n] {
			continue
		}
		g.size[n] = info.Size()
		g.at[n] = append(g.at[n], now)
	}
}

// between returns how long neither guest reported anything when one took over from the other.
func (g *growth) between(t *testing.T, first, second string) time.Duration {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	require.NotEmpty(t, g.at[first])
	require.NotEmpty(t, g.at[second])
	return g.at[second][0].Sub(g.at[first][len(g.at[first])-1])
}

// TestMigrate_theGuestGoesOnWithTheNextNumber moves a guest. It never boots again: it would begin anew with the number
// that is on its disk. Its old host detaches the disk cleanly, and is left with nothing of it.
func TestMigrate_theGuestGoesOnWithTheNextNumber(t *testing.T) {
	m := startMachine(t)
	id, err := proc.Identify(m.show().PID)
	require.NoError(t, err)
	grown := m.watchConsoles("n4", "n5")
	m.c.ok("domain", "migrate", "machine", "--to", "n5")
	require.Equal(t, "n5", m.show().Host)
	m.progress("n5")
	stall := grown.between(t, "n4", "n5")
	all := m.migrations()
	require.Len(t, all, 1)
	require.Equal(t, "done", all[0].State, all[0].Message)
	t.Logf("the guest stood still for %s; stages %+v", stall.Round(time.Millisecond), all[0].Failover.Stages)
	require.Less(t, stall, stallMax)
	m.c.eventually(time.Minute, "the guest that was left is dead", func() bool { return !id.Alive() })
	a, b := m.reported("n4"), m.reported("n5")
	require.Equal(t, a[len(a)-1]+1, b[0], "it went on with the next number")
	m.wentOn("n4", "n5")
	r := m.c.ok("events")
	require.Contains(t, r, "volume disk is detached from n4, cleanly")
	require.Contains(t, r, "n5 is granted epoch 3 of volume disk")
	require.NotContains(t, r, "taken over from n4")

	// And so is its next host's failure: what was written since is there.
	m.c.ok("dev", "kill", "n5", "--dir", m.c.dir)
	kept := m.last("n5")
	m.progress("n4")
	rest := m.reported("n4")[len(a):]
	require.GreaterOrEqual(t, rest[0], kept, "a number that was reported is lost")
}

// TestMigrate_isAborted by whoever began it, while the memory is copied; and another one moves the guest.
func TestMigrate_isAborted(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	m.copying("n4", "n5")
	r := m.c.ok("domain", "show", "machine")
	require.Contains(t, r, "running")
	m.c.ok("domain", "migrate", "machine", "--abort")
	m.stays("n4", "n5")
	require.NoError(t, qmp.Call(t.Context(), filepath.Join(m.dir("n4"), "qmp.sock"), "migrate-set-parameters",
		map[string]any{"max-bandwidth": 1 << 30}, nil))
	m.c.ok("domain", "migrate", "machine", "--to", "n5")
	m.progress("n5")
	m.wentOn("n4", "n5")
	a, b := m.reported("n4"), m.reported("n5")
	require.Equal(t, a[len(a)-1]+1, b[0], "it went on with the next number")
	r = m.c.ok("events")
	require.Equal(t, 1, strings.Count(r, "is on n5 now, where it runs on"), r)
}

// TestMigrate_theNewHostDiesInTheCopy: the guest is where it was, and never stopped.
func TestMigrate_theNewHostDiesInTheCopy(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	m.copying("n4", "n5")
	m.c.ok("dev", "kill", "n5", "--dir", m.c.dir)
	m.c.eventually(time.Minute, "the migration has ended", func() bool {
		all := m.migrations()
		return len(all) == 1 && all[0].State != "running"
	})
	m.stays("n4", "n5")
}

// TestMigrate_theOldHostDiesInTheCopy: a failover as always, from the disk.
func TestMigrate_theOldHostDiesInTheCopy(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	m.copying("n4", "n5")
	m.c.ok("dev", "kill", "n4", "--dir", m.c.dir)
	m.progress("n5")
	require.Equal(t, "n5", m.show().Host)
	kept := m.last("n4")
	require.GreaterOrEqual(t, m.reported("n5")[0], kept, "a number that was reported is lost")
	all := m.migrations()
	require.Len(t, all, 1)
	require.NotEqual(t, "done", all[0].State, all[0].Message)
	require.NotEqual(t, "running", all[0].State, all[0].Message)
}

// TestMigrate_leaderAndDaemonDieInTheCopy: the old host's daemon is killed in the copy, and with it a coordinator; then
// the one that leads. The guest counts on all the time, and it moves by the same operation once the daemon is back.
func TestMigrate_leaderAndDaemonDieInTheCopy(t *testing.T) {
	m := startMachine(t)
	m.copying("n4", "n5")
	var leader string
	for _, n := range m.c.nodes() {
		if n.Leader {
			leader = n.Name
		}
	}
	require.NotEmpty(t, leader)
	for _, n := range m.c.nodes() {
		if n.Name == "n4" {
			require.NoError(t, syscall.Kill(n.PID, syscall.SIGKILL)) // its engines and guests live
		}
	}
	m.progress("n4")
	if leader != "n4" {
		for _, n := range m.c.nodes() {
			if n.Name == leader {
				require.NoError(t, syscall.Kill(n.PID, syscall.SIGKILL))
			}
		}
		m.progress("n4")
	}
	require.NoError(t, qmp.Call(t.Context(), filepath.Join(m.dir("n4"), "qmp.sock"), "migrate-set-parameters",
		map[string]any{"max-bandwidth": 1 << 30}, nil))
	m.c.start(5)
	m.c.eventually(2*time.Minute, "the migration has ended", func() bool {
		all := m.migrations()
		return len(all) == 1 && all[0].State != "running"
	})
	end := m.migrations()[0]
	require.Equal(t, "done", end.State, end.Message)
	m.progress("n5")
	a, b := m.reported("n4"), m.reported("n5")
	require.Equal(t, a[len(a)-1]+1, b[0], "it went on with the next number")
}

// TestMigrate_aDrainTakesTheGuestAlong: a host that is emptied sends its guest away as it runs, and says so before.
func TestMigrate_aDrainTakesTheGuestAlong(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	r := m.c.ok("node", "drain", "n4", "--what-if")
	require.Regexp(t, `migrate_domain +domain/machine +n4 +n5`, r)
	m.c.ok("node", "drain", "n4")
	require.Equal(t, "n5", m.show().Host)
	m.progress("n5")
	m.c.eventually(time.Minute, "the one migration is done", func() bool { // the node is empty a little earlier
		all := m.migrations()
		require.Len(t, all, 1)
		return all[0].State == "done"
	})
	a, b := m.reported("n4"), m.reported("n5")
	require.Equal(t, a[len(a)-1]+1, b[0], "it went on with the next number")
	m.wentOn("n4", "n5")
}
