package system

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// rootEnv and binaryEnv tell the tests where clusters live and which binary is tested.
const (
	rootEnv   = "HOLDFAST_TEST_ROOT"
	binaryEnv = "HOLDFAST_TEST_BINARY"
)

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

// reap waits until the tests are gone, takes down every cluster, and ends what else carries the
// tests' mark in its environment: load generators, relays, keepers of mount namespaces. With the last
// process of a namespace go its mounts, and with them their loop devices.
const reap = `cat >/dev/null
for d in "$0"/c*/; do [ -e "$d/cluster.json" ] && "$0/holdfast" dev down --remove --dir "$d"; done
for e in $(grep -lsz "^` + rootEnv + `=$0\$" /proc/[0-9]*/environ); do
	pid=${e#/proc/} && kill -9 "${pid%/environ}" 2>/dev/null
done
rm -rf "$0"`

// buildAndRun builds the binary once for all tests. Clusters outlive a test that is killed or runs
// into its time limit, so a reaper in a session of its own takes them down when this process is
// gone, however it went.
func buildAndRun(m *testing.M) int {
	root, err := os.MkdirTemp("", "hf-system-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary := filepath.Join(root, "holdfast")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/holdfast")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build holdfast: %v\n%s", err, out)
		_ = os.RemoveAll(root)
		return 1
	}
	reaper := exec.Command("sh", "-c", reap, root)
	reaper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	reaper.Stderr = os.Stderr
	lifeline, err := reaper.StdinPipe()
	if err == nil {
		err = reaper.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv(rootEnv, root)
	os.Setenv(binaryEnv, binary)
	code := m.Run()
	_ = lifeline.Close()
	if err := reaper.Wait(); err != nil {
		fmt.Fprintf(os.Stderr, "take down what was left: %v\n", err)
		return 1
	}
	return code
}

// need skips the test when a foreign program is missing, and fails it in continuous integration,
// where the test command has installed everything.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed", p)
			}
			t.Skipf("%s is not installed; ./scripts/packages installs it", p)
		}
	}
}

// result is what a command left behind.
type result struct {
	code           int
	stdout, stderr string
}

// cluster is a local cluster of real processes.
type cluster struct {
	t     *testing.T
	dir   string
	env   []string
	made  []string // more arguments of dev up
	enter []string // what precedes every command: a program that runs it where the cluster's disks are
}

// up starts a cluster of n nodes with all roles and takes it down with the test.
func up(t *testing.T, nodes int) *cluster {
	t.Helper()
	c := newCluster(t)
	c.start(nodes)
	return c
}

// newCluster names a cluster that runs nowhere yet, and takes down what the test made of it.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(rootEnv), "c")
	require.NoError(t, err)
	c := &cluster{t: t, dir: dir}
	t.Cleanup(func() {
		if t.Failed() {
			c.dumpLogs()
		}
		if _, err := os.Stat(filepath.Join(c.dir, "cluster.json")); err != nil {
			return // the test ended before anything ran
		}
		c.enter = nil // who sees a mount point as one cannot remove it
		if r := c.run(time.Minute, "dev", "down", "--remove", "--dir", c.dir); r.code != 0 {
			t.Errorf("dev down: %s", r.stderr)
		}
	})
	return c
}

// start is dev up: it starts what is missing and takes over the environment that it prints.
func (c *cluster) start(nodes int) {
	c.t.Helper()
	if _, err := os.Stat(filepath.Join(c.dir, "cluster.json")); os.IsNotExist(err) {
		defer oneAtATime(c.t)()
	}
	out := c.ok(append([]string{"dev", "up", "--dir", c.dir, "--nodes", strconv.Itoa(nodes)}, c.made...)...)
	api, found := strings.CutPrefix(strings.TrimSpace(out), "export HOLDFAST_API=")
	require.Truef(c.t, found && !strings.Contains(api, "\n"), "stdout of dev up is only the export line: %q", out)
	c.env = []string{"HOLDFAST_API=" + strings.Trim(api, `"'`)}
}

// oneAtATime returns once no other test makes a cluster, and what lets the next one do so: the ports of a cluster are
// its own from when its first node listens.
func oneAtATime(t *testing.T) (done func()) {
	t.Helper()
	root, err := os.Open(os.Getenv(rootEnv))
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(root.Fd()), syscall.LOCK_EX))
	return func() { require.NoError(t, root.Close()) }
}

// run runs one holdfast command.
func (c *cluster) run(limit time.Duration, args ...string) result {
	c.t.Helper()
	return c.foreign(limit, os.Getenv(binaryEnv), args...)
}

// foreign runs any program where the cluster's disks are.
func (c *cluster) foreign(limit time.Duration, program string, args ...string) result {
	c.t.Helper()
	line := append(append([]string{}, c.enter...), program)
	line = append(line, args...)
	return run(c.t, limit, c.env, line[0], line[1:]...)
}

// ok runs a command that must succeed and returns what it printed.
func (c *cluster) ok(args ...string) string {
	c.t.Helper()
	r := c.run(2*time.Minute, args...)
	require.Zerof(c.t, r.code, "holdfast %s: exit %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	return r.stdout
}

// object runs a command with -o json and returns the object it printed.
func (c *cluster) object(into any, args ...string) {
	c.t.Helper()
	out := c.ok(append(args, "-o", "json")...)
	require.NoErrorf(c.t, json.Unmarshal([]byte(out), into), "%s: %s", strings.Join(args, " "), out)
}

// volumeView is the part of `volume show` that the tests read.
type volumeView struct {
	State      string
	Epoch      uint64
	CfgVer     uint64
	Attachment *struct {
		Host      string
		Epoch     uint64
		EnginePID int `json:"engine_pid"`
	}
	Legs []struct {
		ID, Node, State string
		Progress        float64
	}
}

func (c *cluster) volume(name string) volumeView {
	c.t.Helper()
	var v volumeView
	c.object(&v, "volume", "show", name)
	return v
}

// inSync returns the nodes of the volume's legs that are in sync.
func (v volumeView) inSync() []string {
	var nodes []string
	for _, l := range v.Legs {
		if l.State == "in_sync" {
			nodes = append(nodes, l.Node)
		}
	}
	return nodes
}

// attach attaches a volume and returns the URL of its export.
func (c *cluster) attach(name, host string, more ...string) string {
	c.t.Helper()
	var a struct{ Exports []struct{ Type, URL string } }
	c.object(&a, append([]string{"volume", "attach", name, "--host", host}, more...)...)
	require.NotEmpty(c.t, a.Exports)
	require.Equal(c.t, "nbd", a.Exports[0].Type)
	return a.Exports[0].URL
}

type nodeView struct {
	Name   string
	State  string
	PID    int
	Leader bool
}

func (c *cluster) nodes() []nodeView {
	c.t.Helper()
	var n []nodeView
	c.object(&n, "node", "list")
	return n
}

// eventually waits until a condition on the cluster holds.
func (c *cluster) eventually(limit time.Duration, what string, cond func() bool) {
	c.t.Helper()
	require.Eventually(c.t, cond, limit, 200*time.Millisecond, what)
}

// waitInSync waits until n legs of a volume are in sync.
func (c *cluster) waitInSync(name string, n int) {
	c.t.Helper()
	c.eventually(2*time.Minute, fmt.Sprintf("%d legs of %s in sync", n, name), func() bool {
		return len(c.volume(name).inSync()) == n
	})
}

// dumpLogs prints the tail of every log of a cluster whose test failed: of daemons, engines and guests.
func (c *cluster) dumpLogs() {
	dirs := []string{c.dir}
	configs, _ := filepath.Glob(filepath.Join(c.dir, "*", "node.yaml"))
	for _, path := range configs {
		var node struct {
			RunDir string `yaml:"run_dir"`
		}
		text, err := os.ReadFile(path)
		if err == nil && yaml.Unmarshal(text, &node) == nil && !strings.HasPrefix(node.RunDir, c.dir) {
			dirs = append(dirs, node.RunDir)
		}
	}
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".log") {
				if text, err := os.ReadFile(path); err == nil {
					c.t.Logf("== %s\n%s", path, text[max(0, len(text)-6000):])
				}
			}
			return nil
		})
	}
}

// qemuIO runs qemu-io commands on an export; all of them must succeed.
func qemuIO(t *testing.T, url string, commands ...string) {
	t.Helper()
	r := tryQemuIO(t, url, commands...)
	require.Zerof(t, r.code, "qemu-io %q: %s%s", commands, r.stdout, r.stderr)
	require.NotContains(t, r.stdout, "verification failed")
}

func tryQemuIO(t *testing.T, url string, commands ...string) result {
	t.Helper()
	args := []string{"-f", "raw"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return run(t, time.Minute, nil, "qemu-io", append(args, url)...)
}

// run runs a program, killed after limit.
func run(t *testing.T, limit time.Duration, env []string, program string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s %s: not done after %s\n%s%s", program, strings.Join(args, " "), limit, &stdout, &stderr)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// pattern is a qemu-io command on 64 KiB at so many KiB.
func pattern(verb string, value, kib int) string {
	return fmt.Sprintf("%s -P %d %dk 64k", verb, value, kib)
}

// decode reads JSON and says whether it was.
func decode(text string, into any) bool { return json.Unmarshal([]byte(text), into) == nil }

// served returns a volume once its engine's process is known: a signal to process 0 would be one to the test itself.
func (c *cluster) served(name string) volumeView {
	c.t.Helper()
	var v volumeView
	c.eventually(time.Minute, "the engine of "+name+" is known", func() bool {
		v = c.volume(name)
		return v.Attachment != nil && v.Attachment.EnginePID > 0
	})
	return v
}

// endEngine kills the engine of a volume without a warning, and returns the volume as it was.
func (c *cluster) endEngine(name string) volumeView {
	c.t.Helper()
	v := c.served(name)
	require.NoError(c.t, syscall.Kill(v.Attachment.EnginePID, syscall.SIGKILL))
	return v
}
