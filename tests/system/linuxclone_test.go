package system

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/domain/qga"
)

// TestLinuxGuest_isFrozenForItsClone clones the root of a guest with QEMU's own agent while it counts: the clone is a
// file system that was written back, with nothing to recover, and holds all that was reported before. The guest counts
// on behind it, as it does when its host's daemon dies while it is frozen.
func TestLinuxGuest_isFrozenForItsClone(t *testing.T) {
	t.Parallel()
	need(t, "debugfs")
	l := startLinuxWith(t, ", agent: true")
	l.c.eventually(2*time.Minute, "the agent answers", func() bool {
		var d struct{ Agent string }
		l.c.object(&d, "domain", "show", "machine")
		return d.Agent == "answers"
	})
	kept := l.last("n4")
	l.c.ok("volume", "clone", "disk", "copy")
	l.counts("n4")
	var v struct {
		Clone struct {
			State  string
			Frozen bool
		}
	}
	l.c.object(&v, "volume", "show", "copy")
	require.Equal(t, "cut", v.Clone.State)
	require.True(t, v.Clone.Frozen)

	image := filepath.Join(t.TempDir(), "copy.img")
	r := l.c.foreign(2*time.Minute, "qemu-img", "convert", "-f", "raw", "-O", "raw", l.c.attach("copy", "n5"), image)
	require.Zero(t, r.code, r.stderr)
	l.c.ok("volume", "detach", "copy")
	r = run(t, time.Minute, nil, "e2fsck", "-f", "-n", image)
	require.Zero(t, r.code, "%s%s", r.stdout, r.stderr)
	require.NotContains(t, r.stdout+r.stderr, "journal recovery", "it was written back")
	counted := counterOf(t, image)
	require.GreaterOrEqual(t, counted, kept)
	require.LessOrEqual(t, counted, l.last("n4"))

	// A daemon that dies with the guest frozen has left its mark: the next one lets the guest go.
	l.freezeBy("n4")
	stood := l.last("n4")
	l.killDaemon("n4")
	require.LessOrEqual(t, l.last("n4"), stood+1)
	l.c.start(5)
	l.counts("n4")
}

// counterOf returns the number in the file of a guest's root.
func counterOf(t *testing.T, image string) uint64 {
	t.Helper()
	r := run(t, time.Minute, nil, "debugfs", "-R", "cat /var/counter", image)
	require.Zero(t, r.code, r.stderr)
	n, err := strconv.ParseUint(strings.TrimSpace(r.stdout), 10, 64)
	require.NoError(t, err)
	return n
}

// freezeBy freezes the guest as its host's daemon does before a cut, with the mark first.
func (l linux) freezeBy(node string) {
	l.t.Helper()
	mark := filepath.Join(l.dir(node), "frozen")
	require.NoError(l.t, os.WriteFile(mark, []byte("machine\n"), 0o600))
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	var n int
	require.NoError(l.t, qga.Call(ctx, domain.AgentSocket(l.dir(node)), "guest-fsfreeze-freeze", nil, &n))
	require.Positive(l.t, n)
}

// killDaemon kills a node's daemon, and returns when it is gone.
func (l linux) killDaemon(node string) {
	l.t.Helper()
	for _, n := range l.c.nodes() {
		if n.Name == node {
			require.NoError(l.t, syscall.Kill(n.PID, syscall.SIGKILL))
			l.c.eventually(time.Minute, "the daemon is gone", func() bool {
				return errors.Is(syscall.Kill(n.PID, 0), syscall.ESRCH)
			})
		}
	}
}
