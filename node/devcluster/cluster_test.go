package devcluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/node/host"
	"github.com/holdfast-storage/holdfast/raft"
)

const patience = 60 * time.Second

// TestMain makes the test binary a node's daemon when a local cluster starts it as one, and a reaper when
// startReaper does.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "reap" {
		if err := reap(os.Stdin, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 5 && os.Args[2] == "switch" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := devcluster.RunSwitch(ctx, os.Args[4])
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := node.Serve(ctx, os.Args[3], slog.New(slog.NewTextHandler(os.Stderr, nil)))
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startReaper starts a process in a session of its own that takes the cluster in dir down once this process is
// gone, however it went: daemons outlive a test that is killed.
func startReaper(t *testing.T, dir string) {
	t.Helper()
	reaper := exec.Command("/proc/self/exe", "reap", dir)
	reaper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	reaper.Stderr = os.Stderr
	lifeline, err := reaper.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, reaper.Start())
	t.Cleanup(func() { require.NoError(t, errors.Join(lifeline.Close(), reaper.Wait())) })
}

// reap waits until lifeline ends and then removes the cluster in dir, if it is there still.
func reap(lifeline io.Reader, dir string) error {
	if _, err := io.Copy(io.Discard, lifeline); err != nil {
		return err
	}
	c, err := devcluster.Open(devcluster.Options{Dir: dir})
	if errors.Is(err, devcluster.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	err = errors.Join(c.Down(true), os.RemoveAll(filepath.Dir(dir)))
	_ = os.Remove(filepath.Dir(filepath.Dir(dir))) // the test's own, if this was all of it
	return err
}

func create(t *testing.T, specs []devcluster.NodeSpec) *devcluster.Cluster {
	t.Helper()
	return createOn(t, devcluster.Loopback, specs)
}

func createOn(t *testing.T, network devcluster.Network, specs []devcluster.NodeSpec) *devcluster.Cluster {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cluster")
	startReaper(t, dir)
	c, err := devcluster.Create(devcluster.Options{Dir: dir, Network: network}, specs)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range c.Nodes() {
				text, _ := os.ReadFile(c.LogFile(n.Name))
				t.Logf("%s:\n%s", n.Name, text)
			}
		}
		require.NoError(t, c.Down(true))
		c.Close()
	})
	return c
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func processes(t *testing.T, n devcluster.Node) []proc.ID {
	t.Helper()
	ids, err := proc.FindEnv(host.EnvRunDir, n.RunDir)
	require.NoError(t, err)
	return ids
}

func state(t *testing.T, c *devcluster.Cluster, name string) devcluster.NodeStatus {
	t.Helper()
	all, err := c.Status()
	require.NoError(t, err)
	i := slices.IndexFunc(all, func(s devcluster.NodeStatus) bool { return s.Name == name })
	require.GreaterOrEqual(t, i, 0)
	return all[i]
}

func TestCreate_filesAreValidAndStayTheSame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	options := devcluster.Options{Dir: dir, Timing: config.Timing{TRead: 3 * time.Second}}
	c, err := devcluster.Create(options, devcluster.DefaultNodes(4))
	require.NoError(t, err)
	first := c.Nodes()
	ports := map[string]bool{}
	for i, n := range first {
		cfg, err := config.Load(filepath.Join(dir, n.Name, "node.yaml"))
		require.NoError(t, err)
		require.Equal(t, n.ID, cfg.ID)
		require.Equal(t, 3*time.Second, cfg.Timing.TRead)
		require.Len(t, cfg.Coordinators, 3)
		require.True(t, cfg.Has(raft.RoleCoordinator), "it may be given a vote later")
		require.Equal(t, i < 3, n.First)
		require.LessOrEqual(t, len(host.EngineDir(n.RunDir, strings.Repeat("v", 63))+"/control.sock"),
			config.SocketPathMax)
		for _, address := range []string{n.Listen.API, n.Listen.Raft, n.Listen.ISCSI} {
			require.False(t, address != "" && ports[address], "address %s is used twice", address)
			ports[address] = true
		}
		for _, secret := range []string{"node.key", "node.pem", "node.yaml"} {
			info, err := os.Stat(filepath.Join(dir, n.Name, secret))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), secret)
		}
	}
	c.Close()

	c, err = devcluster.Create(options, devcluster.DefaultNodes(5))
	require.NoError(t, err)
	require.Equal(t, first, c.Nodes()[:4])
	require.Len(t, c.Nodes(), 5)
	require.Equal(t, 5, strings.Count(c.API(), "unix://"))
	require.NoError(t, c.Down(true))
	c.Close()
	require.NoDirExists(t, dir)
}

func TestCreate_refusals(t *testing.T) {
	foreign := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600))
	_, err := devcluster.Create(devcluster.Options{Dir: foreign}, devcluster.DefaultNodes(1))
	require.ErrorContains(t, err, "not empty")
	require.FileExists(t, filepath.Join(foreign, "thesis.tex"))

	_, err = devcluster.Open(devcluster.Options{Dir: filepath.Join(foreign, "none")})
	require.ErrorContains(t, err, "dev up --dir")

	hosts := []devcluster.NodeSpec{{Name: "h1", Roles: []raft.Role{raft.RoleHost}}}
	fresh := filepath.Join(t.TempDir(), "fresh")
	_, err = devcluster.Create(devcluster.Options{Dir: fresh}, hosts)
	require.ErrorContains(t, err, "coordinator")
	_, err = devcluster.Create(devcluster.Options{Dir: fresh}, []devcluster.NodeSpec{{Name: "N!"}})
	require.ErrorContains(t, err, "node name")

	c := create(t, devcluster.DefaultNodes(1))
	require.ErrorContains(t, c.Kill("n9"), "n1")
	require.ErrorContains(t, c.Add(devcluster.NodeSpec{Name: "n1"}), "already")
}

func TestCluster_liveOfTheProcesses(t *testing.T) {
	c := create(t, devcluster.DefaultNodes(3))
	require.NoError(t, c.Up(within(t)))
	first := state(t, c, "n2")
	require.Equal(t, devcluster.RunUp, first.State)
	require.NoError(t, c.Up(within(t)))
	require.Equal(t, first.PID, state(t, c, "n2").PID, "what runs is left alone")

	// A guest of the node: marked by the environment, and a child of it that is not.
	n2, err := c.Node("n2")
	require.NoError(t, err)
	guest := exec.Command("/bin/sh", "-c", "env -i sleep 1000 & exec sleep 1000")
	guest.Env = []string{host.EnvRunDir + "=" + n2.RunDir}
	guest.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, guest.Start())
	guestEnd := make(chan error, 1)
	go func() { guestEnd <- guest.Wait() }()
	require.Eventually(t, func() bool { return len(state(t, c, "n2").Processes) == 3 }, patience,
		5*time.Millisecond)

	require.NoError(t, c.Pause("n2"))
	require.Equal(t, devcluster.RunPaused, state(t, c, "n2").State)
	require.Equal(t, devcluster.RunUp, state(t, c, "n1").State)
	require.ErrorContains(t, c.Start(within(t), "n2"), "paused")
	require.NoError(t, c.Resume("n2"))
	require.Equal(t, devcluster.RunUp, state(t, c, "n2").State)

	require.NoError(t, c.Stop(within(t), "n2"))
	require.Equal(t, devcluster.RunDetached, state(t, c, "n2").State, "guests outlive the daemon")
	require.ErrorContains(t, c.Wipe("n2"), "kill it first")
	require.NoError(t, c.Start(within(t), "n2"))

	require.NoError(t, c.Kill("n2"))
	require.Error(t, <-guestEnd)
	require.Empty(t, processes(t, n2))
	require.Equal(t, devcluster.RunDown, state(t, c, "n2").State)
	require.NoError(t, c.Kill("n2"), "again is as good")
	require.NoError(t, c.Wipe("n2"))

	require.NoError(t, c.Reinstall("n2"))
	again, err := c.Node("n2")
	require.NoError(t, err)
	require.NotEqual(t, n2.ID, again.ID)
	require.Equal(t, n2.Listen, again.Listen)
	require.NoError(t, c.Start(within(t), "n2"))

	require.NoError(t, c.Down(false))
	for _, n := range c.Nodes() {
		require.Empty(t, processes(t, n))
	}
	require.NoError(t, c.Up(within(t)), "the same cluster again")
}

func TestUp_saysWhyADaemonDoesNotStart(t *testing.T) {
	c := create(t, devcluster.DefaultNodes(1))
	key := filepath.Join(c.Dir(), "n1", "node.key")
	require.NoError(t, os.Chmod(key, 0o644))
	err := c.Up(within(t))
	require.ErrorContains(t, err, "n1")
	require.ErrorContains(t, err, key)
}

func TestUp_nodesAreSeenThroughEveryNodesAPI(t *testing.T) {
	c := create(t, []devcluster.NodeSpec{
		{Name: "n1", Roles: []raft.Role{raft.RoleCoordinator, raft.RoleStorage}},
		{Name: "h1", Roles: []raft.Role{raft.RoleHost}},
	})
	require.NoError(t, c.Up(within(t)))
	for _, n := range c.Nodes() {
		client, err := api.NewClient(api.ClientOptions{Endpoints: "unix://" + n.APISocket()})
		require.NoError(t, err)
		seen, err := client.Nodes(within(t))
		client.Close()
		require.NoError(t, err)
		require.Len(t, seen, 2)
	}
}

// The coordinators of a new cluster have to hear each other before they agree on its version: whoever uses it at
// once would be refused what only that version has.
func TestUp_aNewClusterIsAtTheLatestVersion(t *testing.T) {
	c := create(t, []devcluster.NodeSpec{
		{Name: "n1", Roles: devcluster.AllRoles()}, {Name: "n2", Roles: devcluster.AllRoles()},
		{Name: "n3", Roles: devcluster.AllRoles()},
	})
	require.NoError(t, c.Up(within(t)))
	client, err := api.NewClient(api.ClientOptions{Endpoints: c.API()})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	cluster, err := client.Cluster(within(t))
	require.NoError(t, err)
	require.Equal(t, raft.VersionLatest, cluster.Version)
}

func TestUp_doesNotWaitForANodeThatLeft(t *testing.T) {
	c := create(t, []devcluster.NodeSpec{
		{Name: "n1", Roles: devcluster.AllRoles()}, {Name: "n2", Roles: []raft.Role{raft.RoleStorage}},
	})
	require.NoError(t, c.Up(within(t)))
	require.Empty(t, c.Left())
	client, err := api.NewClient(api.ClientOptions{Endpoints: c.API()})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.NoError(t, client.RemoveNode(within(t), "n2", api.Wait{}, nil))

	require.NoError(t, c.Up(within(t)))
	require.Equal(t, []string{"n2"}, c.Left())
	require.Equal(t, devcluster.RunDown, state(t, c, "n2").State, "nobody has a use for it")
	require.Equal(t, 1, strings.Count(c.API(), "unix://"))
	require.ErrorContains(t, c.Start(within(t), "n2"), "--fresh")

	require.NoError(t, c.Reinstall("n2"))
	require.NoError(t, c.Start(within(t), "n2"), "a new machine of that name is welcome")
	require.Empty(t, c.Left())
}

func TestSweep_endsWhatRunsWithoutItsDirectory(t *testing.T) {
	c := create(t, devcluster.DefaultNodes(1))
	require.NoError(t, c.Up(within(t)))
	require.ErrorContains(t, devcluster.Sweep(c.Dir()), "dev down", "a cluster that is there is left alone")
	n1, err := c.Node("n1")
	require.NoError(t, err)
	require.Len(t, processes(t, n1), 1)

	require.NoError(t, os.RemoveAll(c.Dir()))
	require.NoError(t, devcluster.Sweep(c.Dir()))
	require.Empty(t, processes(t, n1))
	require.NoDirExists(t, filepath.Dir(n1.RunDir))
	require.NoError(t, devcluster.Sweep(c.Dir()), "again is as good")
}
