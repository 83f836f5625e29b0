package system

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKill_engineStorageNodeAndLeaderInTurn kills each kind of process the hard way; every time the
// volume stays usable and everything written stays readable.
func TestKill_engineStorageNodeAndLeaderInTurn(t *testing.T) {
	t.Parallel()
	need(t, "qemu-io")
	c := up(t, 4)
	c.ok("volume", "create", "web1", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	url := c.attach("web1", "n4")
	qemuIO(t, url, "write -P 7 0 64k", "flush", "read -P 7 0 64k")

	t.Log("engine")
	before := c.endEngine("web1")
	c.eventually(30*time.Second, "a new engine serves", func() bool {
		v := c.volume("web1")
		return v.Attachment != nil && v.Attachment.EnginePID != 0 &&
			v.Attachment.EnginePID != before.Attachment.EnginePID
	})
	require.Equal(t, url, c.attach("web1", "n4"), "the URL is stable over engine restarts")
	require.Greater(t, c.volume("web1").Epoch, before.Epoch, "a new engine takes a new epoch")
	qemuIO(t, url, "read -P 7 0 64k", "write -P 8 64k 64k", "flush", "read -P 8 64k 64k")

	t.Log("storage node")
	c.ok("dev", "kill", "n2", "--dir", c.dir)
	qemuIO(t, url, "read -P 7 0 64k", "read -P 8 64k 64k", "write -P 9 128k 64k", "flush", "read -P 9 128k 64k")
	c.eventually(30*time.Second, "the dead leg left the in-sync list", func() bool {
		return slices.Equal(c.volume("web1").inSync(), []string{"n1"})
	})
	c.ok("dev", "start", "n2", "--dir", c.dir)
	c.waitInSync("web1", 2)
	qemuIO(t, url, "read -P 7 0 64k", "read -P 8 64k 64k", "read -P 9 128k 64k")

	t.Log("raft leader")
	leader := c.leader()
	c.ok("dev", "kill", leader, "--dir", c.dir)
	qemuIO(t, url, "read -P 7 0 64k", "write -P 10 192k 64k", "flush", "read -P 10 192k 64k")
	c.eventually(30*time.Second, "another node leads", func() bool {
		l := c.leader()
		return l != "" && l != leader
	})
	c.ok("dev", "start", leader, "--dir", c.dir)
	c.waitInSync("web1", 2)
	for i := range 4 {
		qemuIO(t, url, fmt.Sprintf("read -P %d %dk 64k", 7+i, 64*i))
	}
}

// leader returns the name of the leading node, empty while there is none.
func (c *cluster) leader() string {
	c.t.Helper()
	for _, n := range c.nodes() {
		if n.Leader {
			return n.Name
		}
	}
	return ""
}

// TestKill_daemonLeavesItsEngineServing kills only the daemon of the host: the engine goes on, and
// the restarted daemon adopts it again instead of taking a new epoch.
func TestKill_daemonLeavesItsEngineServing(t *testing.T) {
	t.Parallel()
	need(t, "qemu-io")
	c := up(t, 4)
	c.ok("volume", "create", "web1", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	url := c.attach("web1", "n4")
	before := c.volume("web1")
	for _, n := range c.nodes() {
		if n.Name == "n4" {
			require.NoError(t, syscall.Kill(n.PID, syscall.SIGKILL))
		}
	}
	qemuIO(t, url, "write -P 7 0 64k", "flush", "read -P 7 0 64k")
	c.ok("dev", "start", "n4", "--dir", c.dir)
	require.Equal(t, url, c.attach("web1", "n4"))
	after := c.volume("web1")
	require.Equal(t, before.Epoch, after.Epoch)
	require.Equal(t, before.Attachment.EnginePID, after.Attachment.EnginePID)
	qemuIO(t, url, "read -P 7 0 64k")
	c.ok("volume", "detach", "web1")
	require.Nil(t, c.volume("web1").Attachment)
}

// TestKill_daemonAwayForLongMovesNothing kills only the daemon of a host whose guest writes, and keeps it away for far
// longer than a host may be silent. The engine speaks for its host: nothing is failed over, the guest writes on under
// its epoch, and the daemon that comes back adopts the engine and the guest.
func TestKill_daemonAwayForLongMovesNothing(t *testing.T) {
	t.Parallel()
	g := startGuest(t)
	c, host := g.c, g.host()
	type domain struct {
		Host, State string
		PID         int
	}
	var running, adopted domain
	c.object(&running, "domain", "show", "guest")
	before := c.volume("disk")
	for _, n := range c.nodes() {
		if n.Name == host {
			require.NoError(t, syscall.Kill(n.PID, syscall.SIGKILL))
		}
	}

	for killed := time.Now(); time.Since(killed) < 5*time.Second; { // a host is given up after 2 s
		g.progress(10 * time.Second)
	}
	require.NotContains(t, c.ok("events", "-o", "json"), "failover_began")

	c.ok("dev", "start", host, "--dir", c.dir)
	g.progress(10 * time.Second)
	after := c.volume("disk")
	require.Equal(t, before.Epoch, after.Epoch)
	require.Equal(t, host, after.Attachment.Host)
	require.Equal(t, before.Attachment.EnginePID, after.Attachment.EnginePID)
	c.eventually(10*time.Second, "the daemon says that it has the same process of the guest", func() bool {
		c.object(&adopted, "domain", "show", "guest")
		return adopted == running
	})
	require.NotContains(t, c.ok("events", "-o", "json"), "failover_began")
}
