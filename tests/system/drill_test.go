package system

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// drillView is the part of a drill's report that the tests read.
type drillView struct {
	ID, State, Message string
	Moves              []struct {
		From, To, State  string
		FirstReadSeconds float64 `json:"first_read_seconds"`
		Stages           []stageView
	}
	Checks []struct {
		Name, Detail string
		OK           bool
	}
}

type stageView struct{ Name string }

// TestDrill_theGuestComesUpElsewhereAndGoesBack: a drill moves a guest that writes flushed records to another host and
// back. It loses none of them, every check holds, and when that was is kept. How fast it was depends on what else the
// machine does: a drill may be slow here, and says so.
func TestDrill_theGuestComesUpElsewhereAndGoesBack(t *testing.T) {
	g := startGuest(t)
	host := g.host()

	r := g.c.run(time.Minute, "drill", "guest", "--real")
	require.Equal(t, 1, r.code, "without --yes nothing is done")
	require.Contains(t, r.stdout, "move_domain")
	require.Contains(t, r.stderr, "--yes")
	require.Equal(t, 2, g.c.run(time.Minute, "drill", "guest", "--yes").code, "--real is missing")
	require.Equal(t, host, g.host())

	d := g.drill("--back")
	require.Len(t, d.Moves, 2)
	require.Equal(t, host, d.Moves[0].From)
	require.Equal(t, d.Moves[0].To, d.Moves[1].From)
	require.Equal(t, host, d.Moves[1].To)
	require.Len(t, d.Checks, 12)
	for _, c := range d.Checks {
		require.True(t, c.OK, c.Detail)
	}
	for _, m := range d.Moves {
		require.Equal(t, "done", m.State)
		require.Greater(t, m.FirstReadSeconds, 0.0)
		require.Contains(t, m.Stages, stageView{"first_read"})
		t.Logf("%s to %s: decision to first read %.3fs", m.From, m.To, m.FirstReadSeconds)
	}
	require.Equal(t, host, g.host())
	g.check()

	var kept struct {
		LastDrill struct{ ID, State, From, To string } `json:"last_drill"`
	}
	g.c.object(&kept, "domain", "show", "guest")
	require.Equal(t, d.ID, kept.LastDrill.ID)
	require.Equal(t, d.State, kept.LastDrill.State)
	g.c.object(&kept, "volume", "show", "disk")
	require.Equal(t, d.ID, kept.LastDrill.ID)
	var all []drillView
	g.c.object(&all, "drill", "list")
	require.Len(t, all, 1)
	g.verify()
}

// TestDrill_interruptedGoesOnToItsEnd: who watches a drill may be killed. The drill ends all the same, and the guest is
// back where it was.
func TestDrill_interruptedGoesOnToItsEnd(t *testing.T) {
	g := startGuest(t)
	host := g.host()
	cmd := exec.Command(os.Getenv(binaryEnv), "drill", "guest", "--real", "--back", "--yes")
	cmd.Env = append(os.Environ(), g.c.env...)
	require.NoError(t, cmd.Start())
	g.c.eventually(time.Minute, "the drill has begun", func() bool { return len(g.drills()) == 1 })
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait() // it was killed

	g.c.eventually(2*time.Minute, "the drill ends by itself", func() bool { return g.drills()[0].State != "running" })
	d := g.drills()[0]
	require.Contains(t, []string{"ok", "slow"}, d.State, d.Message)
	require.Len(t, d.Moves, 2)
	require.Equal(t, host, g.host())
	g.check()
	g.verify()
}

// TestDrill_isRefusedWhileAnythingIsAmiss: a drill that would leave a guest with fewer copies than it ought to have, or
// without a host, is not begun.
func TestDrill_isRefusedWhileAnythingIsAmiss(t *testing.T) {
	g := startGuest(t)
	host := g.host()
	refused := func(words string, more ...string) {
		t.Helper()
		r := g.c.run(time.Minute, append([]string{"drill", "guest", "--real", "--yes"}, more...)...)
		require.Equal(t, 1, r.code)
		require.Contains(t, r.stderr, words)
		require.Equal(t, host, g.host())
		require.Empty(t, g.drills())
	}
	refused("runs on "+host+" already", "--to", host)
	refused("may run on n4, n5, not on n1", "--to", "n1")

	g.dev("kill", "n2")
	g.c.eventually(time.Minute, "the leg on n2 has left", func() bool { return len(g.c.volume("disk").inSync()) == 1 })
	refused("n2")
	g.dev("start", "n2")
	g.c.waitInSync("disk", 2)

	other := map[string]string{"n4": "n5", "n5": "n4"}[host]
	g.dev("kill", other)
	g.c.eventually(time.Minute, other+" is silent", func() bool {
		for _, n := range g.c.nodes() {
			if n.Name == other {
				return n.State == "down"
			}
		}
		return false
	})
	r := g.c.run(time.Minute, "drill", "guest", "--real", "--yes")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, other)

	g.dev("start", other)
	g.c.ok("domain", "stop", "guest")
	r = g.c.run(time.Minute, "drill", "guest", "--real", "--yes")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "is stopped")
}

// drill moves the guest as a drill. It must have worked, however fast.
func (g *guest) drill(flags ...string) drillView {
	g.t.Helper()
	r := g.c.run(3*time.Minute, append([]string{"drill", "guest", "--real", "--yes", "-o", "json"}, flags...)...)
	var d drillView
	require.True(g.t, decode(r.stdout, &d), r.stderr)
	require.Contains(g.t, []string{"ok", "slow"}, d.State, d.Message)
	require.Equal(g.t, d.State == "ok", r.code == 0, r.stderr)
	return d
}

func (g *guest) drills() []drillView {
	g.t.Helper()
	var all []drillView
	g.c.object(&all, "drill", "list")
	return all
}

// TestDrill_aGuestThatReadsNothingFails: a guest that runs and never touches its disk has shown nothing. The command
// says so, for a script too, and the guest stays where it was moved to.
func TestDrill_aGuestThatReadsNothingFails(t *testing.T) {
	c := up(t, 3)
	spec := filepath.Join(t.TempDir(), "idle.yaml")
	require.NoError(t, os.WriteFile(spec, []byte("name: idle\ndriver: exec\nvolumes: [{name: disk}]\nhosts: [n2, n3]\n"+
		"exec: {command: [sleep, infinity]}\n"), 0o600))
	c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	c.ok("domain", "define", "-f", spec)
	c.ok("domain", "start", "idle")
	r := c.run(2*time.Minute, "drill", "idle", "--real", "--back", "--yes", "-o", "json")
	require.Equal(t, 1, r.code, r.stderr)
	require.Contains(t, r.stderr, "has read nothing")
	var d drillView
	require.True(t, decode(r.stdout, &d), r.stdout)
	require.Equal(t, "failed", d.State)
	require.Len(t, d.Moves, 1, "it does not go back")
	for _, check := range d.Checks {
		require.Equal(t, check.Name != "first_read", check.OK, check.Detail)
	}
	var idle struct {
		Host      string
		LastDrill struct {
			State    string
			WorkedAt *time.Time `json:"worked_at"`
		} `json:"last_drill"`
	}
	c.object(&idle, "domain", "show", "idle")
	require.Equal(t, d.Moves[0].To, idle.Host)
	require.Equal(t, "failed", idle.LastDrill.State)
	require.Nil(t, idle.LastDrill.WorkedAt)
}
