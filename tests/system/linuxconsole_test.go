package system

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// user sits at the console of the guest.
type user struct {
	t     *testing.T
	cmd   *exec.Cmd
	keys  io.WriteCloser
	ended chan error

	mu   sync.Mutex // protects seen
	seen bytes.Buffer
}

func (u *user) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen.Write(p)
}

// sees waits until a text was written, by the guest or by the command.
func (u *user) sees(text string) {
	u.t.Helper()
	require.Eventually(u.t, func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return strings.Contains(u.seen.String(), text)
	}, 2*time.Minute, 50*time.Millisecond, text)
}

func (u *user) types(text string) {
	u.t.Helper()
	_, err := io.WriteString(u.keys, text)
	require.NoError(u.t, err)
}

// end returns the exit code of the command.
func (u *user) end() int {
	u.t.Helper()
	select {
	case <-u.ended:
	case <-time.After(time.Minute):
		require.Fail(u.t, "the console does not end")
	}
	return u.cmd.ProcessState.ExitCode()
}

func (l linux) sit(more ...string) *user {
	l.t.Helper()
	line := append([]string{"domain", "console", "machine"}, more...)
	u := &user{t: l.t, cmd: exec.Command(os.Getenv(binaryEnv), line...), ended: make(chan error, 1)}
	u.cmd.Env, u.cmd.Stdout, u.cmd.Stderr = append(os.Environ(), l.c.env...), u, u
	var err error
	u.keys, err = u.cmd.StdinPipe()
	require.NoError(l.t, err)
	require.NoError(l.t, u.cmd.Start())
	go func() { u.ended <- u.cmd.Wait() }()
	l.t.Cleanup(func() { _ = u.cmd.Process.Kill() }) // it may have ended
	return u
}

// again is sees of one more than there are by now.
func (u *user) again(text string, do func()) {
	u.t.Helper()
	u.mu.Lock()
	before := strings.Count(u.seen.String(), text)
	u.mu.Unlock()
	do()
	require.Eventually(u.t, func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return strings.Count(u.seen.String(), text) > before
	}, 2*time.Minute, 50*time.Millisecond, text)
}

// killLeader kills the daemon of the node that leads, which comes back with start.
func (l linux) killLeader() {
	l.t.Helper()
	for _, n := range l.c.nodes() {
		if n.Leader {
			require.NoError(l.t, syscall.Kill(n.PID, syscall.SIGKILL))
			return
		}
	}
	require.Fail(l.t, "nobody leads")
}

// TestLinuxGuest_console: a shell in the guest hears what is typed at any node, one user at a time, and the console
// follows the guest to another host, and goes on with another leader.
func TestLinuxGuest_console(t *testing.T) {
	l := startLinux(t)
	first := l.sit()
	first.sees("the console of machine on n4")
	first.types("echo 6*7=$((6*7))\n")
	first.sees("6*7=42")

	r := l.c.run(time.Minute, "domain", "console", "machine")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "the console of domain machine is used by root on ")
	require.Contains(t, r.stderr, "--take")

	second := l.sit("--take")
	second.sees("the console of machine on n4")
	require.Equal(t, 1, first.end())
	first.sees("took the console")

	l.c.ok("domain", "failover", "machine", "--to", "n5")
	second.sees("the console of machine on n5")
	second.sees("guest: synced")
	second.types("echo 6*8=$((6*8))\n")
	second.sees("6*8=48")

	second.again("the console of machine on n5", l.killLeader)
	second.types("echo 6*9=$((6*9))\n")
	second.sees("6*9=54")
	l.c.start(5)
	second.types("\x1d")
	require.Zero(t, second.end())
}
