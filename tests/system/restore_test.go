package system

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lostCluster is a cluster of three nodes that do everything, with two volumes that have data.
func lostCluster(t *testing.T) *cluster {
	t.Helper()
	need(t, "qemu-io")
	c := up(t, 3)
	c.ok("volume", "create", "web1", "--size", "64M", "--layout", "mirror=3")
	c.ok("volume", "create", "db1", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	qemuIO(t, c.attach("web1", "n3"), pattern("write", 1, 0), "flush")
	qemuIO(t, c.attach("db1", "n3"), pattern("write", 2, 0), "flush")
	return c
}

func (c *cluster) config(node string) string { return filepath.Join(c.dir, node, "node.yaml") }

// kill takes the power of nodes.
func (c *cluster) kill(nodes ...string) {
	c.t.Helper()
	for _, n := range nodes {
		c.node("kill", n)
	}
}

// restore has n1 go on alone with these arguments, and starts it. It returns the command with which the other
// coordinators rejoin.
func (c *cluster) restore(how ...string) string {
	c.t.Helper()
	out := c.ok(append([]string{"cluster", "restore", "--config", c.config("n1")}, how...)...)
	i := strings.Index(out, "holdfast cluster rejoin")
	require.Positive(c.t, i, out)
	c.node("start", "n1")
	line, _, _ := strings.Cut(out[i:], "\n")
	return line
}

// rejoin runs the printed command for another node, starts it, and waits until the cluster has it.
func (c *cluster) rejoin(line, node string) {
	c.t.Helper()
	words := strings.Fields(strings.ReplaceAll(line, c.config("n1"), c.config(node)))
	c.ok(words[1:]...)
	c.ok("dev", "start", node, "--no-wait", "--dir", c.dir)
	c.eventually(time.Minute, node+" is up", func() bool {
		return slices.ContainsFunc(c.nodes(), func(n nodeView) bool { return n.Name == node && n.State == "up" })
	})
}

// refusesToStart holds that a node's daemon ends, and says what to do.
func (c *cluster) refusesToStart(node, say string) {
	c.t.Helper()
	c.eventually(30*time.Second, node+" refuses to start", func() bool { // the daemon of before may be ending still
		r := c.run(time.Minute, "dev", "start", node, "--dir", c.dir)
		return r.code != 0 && strings.Contains(r.stderr, say)
	})
}

// inService attaches a volume, which takes as long as its legs take to be found, and reads what was written.
func (c *cluster) inService(name, host string, value int) string {
	c.t.Helper()
	c.eventually(time.Minute, name+" serves", func() bool {
		return c.run(time.Minute, "volume", "attach", name, "--host", host).code == 0
	})
	url := c.attach(name, host)
	qemuIO(c.t, url, pattern("read", value, 0))
	return url
}

// found says that every leg was found, once all storage nodes have told what is on their disks.
func (c *cluster) found() {
	c.t.Helper()
	c.eventually(time.Minute, "every storage node has told of its legs", func() bool {
		return c.run(time.Minute, "cluster", "restore", "--done").code == 0
	})
	require.NotContains(c.t, c.run(time.Minute, "health").stdout, "restoring")
}

// waitsBecause begins to attach a volume and holds that it waits, for a reason that health gives.
func (c *cluster) waitsBecause(name, host, why string) {
	c.t.Helper()
	c.ok("volume", "attach", name, "--host", host, "--no-wait")
	c.eventually(time.Minute, name+" waits: "+why, func() bool {
		return c.volume(name).State == "attaching" && strings.Contains(c.run(time.Minute, "health").stdout, why)
	})
}

// leads waits until a leader has this many coordinators.
func (c *cluster) leads(coordinators int) {
	c.t.Helper()
	c.eventually(time.Minute, fmt.Sprintf("%d coordinators vote", coordinators), func() bool {
		var s struct{ Coordinators int }
		r := c.run(time.Minute, "cluster", "status", "-o", "json")
		return r.code == 0 && decode(r.stdout, &s) && s.Coordinators == coordinators && c.leader() != ""
	})
}

// TestRestore_fromAnOldBackup takes a backup, goes on, and loses its coordinators. Restored from the backup,
// they know nothing of what happened since: a leg that left the in-sync list, epochs, a volume that was made.
// The legs do. Engines that still ran are fenced, a coordinator of before has no say (protocol §5 row 49).
func TestRestore_fromAnOldBackup(t *testing.T) {
	c := lostCluster(t)
	backup := filepath.Join(t.TempDir(), "backup")
	c.ok("cluster", "backup", backup)
	info, err := os.Stat(backup)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NotZero(t, c.run(time.Minute, "cluster", "backup", backup).code, "a file is never replaced")

	t.Log("after the backup: a leg leaves, data changes, a volume is made")
	c.node("kill", "n2")
	qemuIO(t, c.attach("db1", "n3"), pattern("write", 4, 0), "flush")
	require.Equal(t, []string{"n1"}, c.volume("db1").inSync())
	c.ok("volume", "create", "new1", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n3")
	qemuIO(t, c.attach("new1", "n3"), pattern("write", 5, 0), "flush")
	lost := c.volume("db1").Epoch

	t.Log("n1 is restored; the engines on n3 run on")
	r := c.run(time.Minute, "cluster", "restore", backup, "--config", c.config("n1"))
	require.NotZero(t, r.code, "its daemon runs")
	require.Contains(t, r.stderr, "in use")
	c.node("stop", "n3")
	c.node("stop", "n1")
	rejoin := c.restore(backup)
	c.eventually(time.Minute, "the volume that was made since is found, in part", func() bool {
		return c.run(time.Minute, "volume", "show", "new1").code == 0
	})
	c.waitsBecause("db1", "n1", "n2")

	t.Log("a coordinator of before gives up as soon as it hears of the restore")
	c.ok("dev", "start", "n3", "--no-wait", "--dir", c.dir)
	c.eventually(time.Minute, "n3's daemon ends", func() bool {
		text, err := os.ReadFile(filepath.Join(c.dir, "n3", "daemon.log"))
		return err == nil && strings.Contains(string(text), "holdfast cluster rejoin")
	})
	c.refusesToStart("n3", "holdfast cluster rejoin")
	c.rejoin(rejoin, "n3")
	c.refusesToStart("n2", "holdfast cluster rejoin")
	r = c.run(time.Minute, "cluster", "restore", "--done")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "n2 (", "it may have legs that nobody knows")
	c.rejoin(rejoin, "n2")
	c.leads(3)
	c.waitsBecause("db1", "n1", "waits until every leg of it is found")
	c.found()

	t.Log("what the legs know is there, also on the leg that was away")
	c.inService("db1", "n1", 4)
	require.Greater(t, c.volume("db1").Epoch, lost+1<<32-1, "epochs of a generation of their own")
	c.inService("web1", "n3", 1)
	c.inService("new1", "n3", 5)
	c.waitInSync("db1", 2)
	c.waitInSync("web1", 3)
	c.ok("volume", "detach", "db1")
	url := c.inService("db1", "n3", 4)
	c.node("kill", "n1")
	qemuIO(t, url, pattern("read", 4, 0))
	c.node("start", "n1")
	c.ok("cluster", "restore", "--done")

	t.Log("the disk of before comes back: it is refused")
	c.node("stop", "n2")
	data := filepath.Join(c.dir, "n2", "data")
	old, err := filepath.Glob(filepath.Join(data, "raft.before-*"))
	require.NoError(t, err)
	require.Len(t, old, 1)
	require.NoError(t, os.Rename(filepath.Join(data, "raft"), filepath.Join(data, "raft.good")))
	require.NoError(t, os.Rename(old[0], filepath.Join(data, "raft")))
	c.refusesToStart("n2", "holdfast cluster rejoin")
	require.NoError(t, os.RemoveAll(filepath.Join(data, "raft")))
	r = c.run(time.Minute, strings.Fields(strings.ReplaceAll(rejoin, c.config("n1"), c.config("n2")))[1:]...)
	require.NotZero(t, r.code, "a second new log of one incarnation would forget what the first one promised")
	require.Contains(t, r.stderr, "node replace")
	require.NoError(t, os.Rename(filepath.Join(data, "raft.good"), filepath.Join(data, "raft")))
	c.node("start", "n2")
}

// TestRestore_fromLegs loses the disks of all coordinators. The catalogue of volumes is made anew from the
// labels of the legs: a volume serves once all of its legs were found, and a leg that is gone for good is an
// operator's to give up.
func TestRestore_fromLegs(t *testing.T) {
	c := lostCluster(t)
	c.kill("n1", "n2", "n3")
	for _, n := range []string{"n1", "n2", "n3"} {
		require.NoError(t, os.RemoveAll(filepath.Join(c.dir, n, "data", "raft")))
	}
	t.Log("a coordinator without its data does not vote, and says what to do")
	c.refusesToStart("n1", "holdfast node replace")

	rejoin := c.restore("--from-legs")
	c.eventually(time.Minute, "what n1 has is found", func() bool {
		return c.run(time.Minute, "volume", "show", "web1").code == 0 &&
			c.run(time.Minute, "volume", "show", "db1").code == 0
	})
	c.rejoin(rejoin, "n3")
	c.waitsBecause("db1", "n1", "volume db1 waits until every leg of it is found")
	c.waitsBecause("web1", "n1", "volume web1 waits until every leg of it is found")

	t.Log("the CA was on no other disk: that is said, and a token is not waited for")
	require.Contains(t, c.run(time.Minute, "health").stdout, "do not have the cluster's CA")
	r := c.run(10*time.Second, "cluster", "token", "create", "--role", "node")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "restored without the cluster's CA")

	t.Log("the operator gives up the leg of web1 on n2; it is found afterwards, and stays given up")
	r = c.run(time.Minute, "volume", "promote", "web1", "--leg", "n3", "--reason", "n2 burnt down")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "--host-is-off", "who had it is not known")
	r = c.run(time.Minute, "volume", "promote", "web1", "--leg", "n3", "--reason", "n2 burnt down", "--host-is-off")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "nothing is done yet")
	require.Contains(t, r.stdout, "never used again")
	c.ok("volume", "promote", "web1", "--leg", "n3", "--reason", "n2 burnt down", "--host-is-off", "--yes")
	c.inService("web1", "n3", 1)
	require.Equal(t, []string{"n3"}, c.volume("web1").inSync())

	t.Log("db1 waits for the leg on n2, and has it")
	c.rejoin(rejoin, "n2")
	c.found()
	c.inService("db1", "n1", 2)
	c.waitInSync("db1", 2)
	c.leads(3)
	c.eventually(time.Minute, "the late leg is kept and not used", func() bool {
		for _, l := range c.volume("web1").Legs {
			if l.Node == "n2" {
				return l.State == "quarantined"
			}
		}
		return false
	})
	require.Contains(t, c.ok("events"), "n2 burnt down")
}

// TestLostCoordinator_comesBackAsAnother loses the disk of one coordinator. Its node must not vote with
// promises forgotten: it does not start, and says what to do. With a new identity it takes the old one's place.
func TestLostCoordinator_comesBackAsAnother(t *testing.T) {
	c := lostCluster(t)
	c.kill("n2")
	require.NoError(t, os.RemoveAll(filepath.Join(c.dir, "n2", "data", "raft")))
	c.refusesToStart("n2", "holdfast node replace")
	r := c.run(time.Minute, "cluster", "rejoin", "--config", c.config("n2"))
	require.NotZero(t, r.code, "nothing was restored")
	t.Log("with all of its data_dir lost it is no other")
	require.NoError(t, os.RemoveAll(filepath.Join(c.dir, "n2", "data")))
	c.refusesToStart("n2", "holdfast node replace")
	c.refusesToStart("n2", "holdfast node replace")

	c.ok("dev", "add", "n2", "--fresh", "--dir", c.dir)
	c.ok("node", "replace", "n2", "n2")
	c.leads(3)
	c.waitInSync("db1", 2)
	t.Log("its vote counts: the cluster decides without another one")
	c.node("kill", "n1")
	c.eventually(time.Minute, "n2 and n3 decide", func() bool { return c.leader() != "" })
	qemuIO(t, c.inService("db1", "n3", 2), pattern("write", 6, 64), "flush")
}
