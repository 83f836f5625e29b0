package system

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/config"
)

// byHand is a machine made a node as an operator does it on servers: with `cluster init` or `cluster join`, an
// address of its own at the usual ports, and `serve`.
type byHand struct {
	t       *testing.T
	name    string
	address string
	dir     string // everything but run
	run     string
	serve   *exec.Cmd // nil before it ran
}

// loopbackNet returns the beginning of addresses that belong to this test alone.
func loopbackNet(t *testing.T) string {
	t.Helper()
	for range 20 {
		prefix := fmt.Sprintf("127.%d.%d.", 16+rand.IntN(200), rand.IntN(256))
		if l, err := net.Listen("tcp", prefix+"1:7443"); err == nil {
			require.NoError(t, l.Close())
			return prefix
		}
	}
	t.Fatal("no loopback address is free")
	return ""
}

// newByHand names a machine, and ends what ran on it with the test. Its name is one letter.
func newByHand(t *testing.T, name, address string) *byHand {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(rootEnv), "t")
	require.NoError(t, err)
	m := &byHand{t: t, name: name, address: address, dir: dir, run: filepath.Join(os.Getenv(rootEnv), name)}
	if len(m.run) > config.RunDirMax {
		m.run, err = os.MkdirTemp("/tmp", "hf-")
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(m.log())
			t.Logf("== %s\n%s", m.log(), text[max(0, len(text)-6000):])
		}
		m.kill()
		require.NoError(t, os.RemoveAll(m.run))
		require.NoError(t, os.RemoveAll(m.dir))
	})
	return m
}

func (m *byHand) log() string    { return filepath.Join(m.dir, "daemon.log") }
func (m *byHand) config() string { return filepath.Join(m.dir, "etc", "node.yaml") }
func (m *byHand) socket() string { return "unix://" + filepath.Join(m.run, "api.sock") }
func (m *byHand) api() string    { return m.address + ":7443" }

// where are the arguments of init and join that say what the machine is.
func (m *byHand) where(data bool) []string {
	args := []string{"--name", m.name, "--address", m.address, "--dir", filepath.Join(m.dir, "etc"),
		"--data-dir", filepath.Join(m.dir, "data"), "--run-dir", m.run}
	if !data {
		return args
	}
	return append(args, "--store", "s1="+filepath.Join(m.dir, "store"))
}

// join has the machine join with a token, which it reads from its standard input.
func (m *byHand) join(token string, at *byHand, data bool) result {
	m.t.Helper()
	args := append([]string{"cluster", "join", "-", at.api()}, m.where(data)...)
	if !data {
		args = append(args, "--witness")
	}
	cmd := exec.Command(os.Getenv(binaryEnv), args...)
	cmd.Stdin = strings.NewReader(token + "\n")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // its exit code tells
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// refused has the machine try to join in vain; it is no node afterwards.
func (m *byHand) refused(token string, at *byHand, why string) {
	m.t.Helper()
	r := m.join(token, at, true)
	require.Equal(m.t, 1, r.code, r.stdout)
	require.Contains(m.t, r.stderr, why)
	require.NotContains(m.t, r.stderr, token)
	require.NoFileExists(m.t, m.config())
}

// start runs the daemon, as systemd would.
func (m *byHand) start() {
	m.t.Helper()
	log, err := os.OpenFile(m.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(m.t, err)
	defer log.Close()
	m.serve = exec.Command(os.Getenv(binaryEnv), "serve", "--config", m.config())
	m.serve.Stdout, m.serve.Stderr = log, log
	require.NoError(m.t, m.serve.Start())
}

// kill ends daemon and engines of the machine without a warning.
func (m *byHand) kill() {
	m.t.Helper()
	if m.serve == nil {
		return
	}
	_ = m.serve.Process.Kill()
	_ = m.serve.Wait()
	m.serve = nil
	for _, pid := range processesWith(m.t, "HOLDFAST_RUN_DIR="+m.run) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	require.Eventually(m.t, func() bool { return len(processesWith(m.t, "HOLDFAST_RUN_DIR="+m.run)) == 0 },
		10*time.Second, 20*time.Millisecond, "an engine of %s is left", m.name)
}

// at returns a cluster as one machine sees it, to run commands.
func (m *byHand) at() *cluster {
	return &cluster{t: m.t, dir: m.dir, env: []string{"HOLDFAST_API=" + m.socket()}}
}

// processesWith returns the processes that have a word in their environment.
func processesWith(t *testing.T, word string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	require.NoError(t, err)
	var found []int
	for _, f := range files {
		text, err := os.ReadFile(f) // fails of one that has just ended
		if err != nil || !bytes.Contains(append(append([]byte{0}, text...), 0), []byte("\x00"+word+"\x00")) {
			continue
		}
		var pid int
		_, err = fmt.Sscanf(f, "/proc/%d/environ", &pid)
		require.NoError(t, err)
		found = append(found, pid)
	}
	return found
}
