package demo

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node"
	"github.com/holdfast-storage/holdfast/node/devcluster"
)

// TestMain makes the test binary a node's daemon when a local cluster starts it as one, and a reaper
// when the demo does.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "serve":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err = node.Serve(ctx, os.Args[3], slog.New(slog.DiscardHandler))
		stop()
	case len(os.Args) == 6 && os.Args[1] == "demo" && os.Args[2] == "reap":
		err = Reap(os.Stdin, os.Args[4], os.Args[5] == "--keep=true")
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

func TestReap_leavesNothingOfADemoThatWasKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), dirPrefix+"1")
	c, err := devcluster.Create(devcluster.Options{Dir: filepath.Join(dir, clusterDir)}, devcluster.DefaultNodes(1))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Down(true)) })
	r, err := startReaper("", dir, false)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, c.Up(ctx))
	nodes, err := c.Status()
	require.NoError(t, err)
	daemon := nodes[0].PID

	require.NoError(t, syscall.Kill(daemon, 0), "it waits for the demo's end")
	c.Close() // as the kernel does for a process that dies
	require.NoError(t, r.end())
	require.NoDirExists(t, dir)
	require.Eventually(t, func() bool {
		return errors.Is(syscall.Kill(daemon, 0), syscall.ESRCH) // this process reaps it
	}, time.Minute, time.Millisecond)
}

func TestReap_beforeThereIsACluster(t *testing.T) {
	for _, keep := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), dirPrefix+"1")
		require.NoError(t, os.Mkdir(dir, 0o700))
		r, err := startReaper("", dir, keep)
		require.NoError(t, err)
		require.NoError(t, r.end())
		_, err = os.Stat(dir)
		require.Equal(t, keep, err == nil)
	}
}

func TestReap_nothingLeftAndForeignDirectories(t *testing.T) {
	require.NoError(t, Reap(strings.NewReader(""), filepath.Join(t.TempDir(), dirPrefix+"gone"), false))

	foreign := t.TempDir()
	require.ErrorContains(t, Reap(strings.NewReader(""), foreign, false), foreign)
	require.DirExists(t, foreign)
}
