package proc

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

const patience = 10 * time.Second

// sleeper starts a child that sleeps, and returns it with its identity.
func sleeper(t *testing.T, env ...string) (*exec.Cmd, ID) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "echo up; exec sleep 1000")
	cmd.Env = env
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	id, err := Identify(cmd.Process.Pid)
	require.NoError(t, err)
	return cmd, id
}

func TestIdentity_followsOneProcessThroughItsLife(t *testing.T) {
	cmd, id := sleeper(t)
	require.True(t, id.Alive())
	h, err := Open(id)
	require.NoError(t, err)
	defer h.Close()

	require.NoError(t, h.Signal(syscall.SIGSTOP))
	require.Eventually(t, id.Stopped, patience, time.Millisecond)
	require.True(t, id.Alive(), "stopped is alive")
	require.NoError(t, h.Signal(syscall.SIGCONT))
	require.Eventually(t, func() bool { return !id.Stopped() }, patience, time.Millisecond)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, h.Wait(ctx), context.DeadlineExceeded)

	require.NoError(t, h.Signal(syscall.SIGKILL))
	require.NoError(t, h.Wait(t.Context()))
	require.False(t, id.Alive(), "not waited for, but ended")
	require.Error(t, cmd.Wait())
	require.ErrorIs(t, h.Signal(syscall.SIGKILL), ErrGone)
	_, err = Open(id)
	require.ErrorIs(t, err, ErrGone)
	_, err = Identify(id.PID)
	require.ErrorIs(t, err, ErrGone)
}

func TestOpen_refusesAnotherProcessWithTheSameNumber(t *testing.T) {
	_, id := sleeper(t)
	for _, other := range []ID{
		{PID: id.PID, Start: id.Start + 1, Boot: id.Boot}, {PID: id.PID, Start: id.Start, Boot: "another"},
	} {
		_, err := Open(other)
		require.ErrorIs(t, err, ErrGone)
		require.False(t, other.Alive())
		require.NoError(t, Signal([]ID{other}, syscall.SIGKILL))
	}
	require.True(t, id.Alive())
}

func TestFindEnv_findsExactlyTheCarriers(t *testing.T) {
	token := volume.NewUUID().String()
	_, marked := sleeper(t, "OTHER=1", "MARK="+token)
	_, _ = sleeper(t, "MARK="+token+"x", "XMARK="+token)
	found, err := FindEnv("MARK", token)
	require.NoError(t, err)
	require.Equal(t, []ID{marked}, found)
}

func TestFindEnvBelow_findsPathsBelowTheDirectory(t *testing.T) {
	dir := "/" + volume.NewUUID().String()
	_, inside := sleeper(t, "OTHER=1", "MARK="+dir+"/n1/run")
	_, _ = sleeper(t, "MARK="+dir)
	_, _ = sleeper(t, "MARK="+dir+"2/n1", "XMARK="+dir+"/n1")
	for _, text := range []string{dir, dir + "/"} {
		found, err := FindEnvBelow("MARK", text)
		require.NoError(t, err)
		require.Equal(t, []ID{inside}, found)
	}
}

func TestDescendants_areFoundWithoutTheMark(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "env -i sh -c 'sleep 1000 & echo up; wait' & wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	root, err := Identify(cmd.Process.Pid)
	require.NoError(t, err)
	below, err := Descendants([]ID{root})
	require.NoError(t, err)
	require.Len(t, below, 2)
	require.NotContains(t, below, root)
}

func TestParseStat(t *testing.T) {
	const good = "12 (a ) (b) T 1 2 3 34816 12 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1"
	s, err := parseStat([]byte(good))
	require.NoError(t, err)
	require.Equal(t, stat{state: 'T', parent: 1, group: 2, session: 3, threads: 1, start: 987654}, s)
	for cut := range strings.Index(good, " 987654") + 1 {
		_, err := parseStat([]byte(good[:cut]))
		require.Error(t, err, "prefix of %d bytes", cut)
	}
}

// TestStat_ended: the first thread's state alone is not the end of a process.
func TestStat_ended(t *testing.T) {
	for _, c := range []struct {
		state   byte
		threads int
		ended   bool
	}{{'R', 1, false}, {'S', 4, false}, {'T', 1, false}, {'D', 1, false},
		{'Z', 1, true}, {'Z', 2, false}, {'X', 0, true}} {
		require.Equal(t, c.ended, stat{state: c.state, threads: c.threads}.ended(), "%c %d", c.state, c.threads)
	}
}

func TestIdentify_ofThisProcess(t *testing.T) {
	id, err := Identify(os.Getpid())
	require.NoError(t, err)
	require.True(t, id.Alive())
	require.False(t, id.Stopped())
}
