package system

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRestore_withoutTheCA loses the disks of all coordinators, and with them the CA's key. The cluster goes on
// from the legs with another CA: every node joins again, as the same node, its volume is there, and new ones are
// admitted.
func TestRestore_withoutTheCA(t *testing.T) {
	need(t, "qemu-io")
	network := loopbackNet(t)
	a, b := newByHand(t, "a", network+"1"), newByHand(t, "b", network+"2")
	w, x := newByHand(t, "w", network+"3"), newByHand(t, "x", network+"4")
	c := a.at()
	token := func() string { return strings.TrimSpace(c.ok("cluster", "token", "create", "--role", "node")) }
	joins := func(m *byHand) {
		r := m.join(token(), a, m == b)
		require.Zero(t, r.code, r.stderr)
		m.start()
	}
	c.ok(append([]string{"cluster", "init", "prod"}, a.where(true)...)...)
	a.start()
	c.leads(1)
	joins(b)
	joins(w)
	c.leads(3)
	c.ok("volume", "create", "web1", "--size", "64M", "--layout", "mirror=2", "--legs-on", "a,b")
	qemuIO(t, c.attach("web1", "b"), pattern("write", 1, 0), "flush")
	ids := c.ids()

	t.Log("everything stops; the coordinators' data are gone")
	for _, m := range []*byHand{a, b, w} {
		m.kill()
		require.NoError(t, os.RemoveAll(filepath.Join(m.dir, "data", "raft")))
	}
	old, err := os.ReadFile(filepath.Join(a.dir, "etc", "ca.pem"))
	require.NoError(t, err)
	out := c.ok("cluster", "restore", "--from-legs", "--new-ca", "--config", a.config())
	require.Contains(t, out, "cluster join @TOKENFILE")
	line := out[strings.Index(out, "holdfast cluster rejoin"):]
	line, _, _ = strings.Cut(line, "\n")
	a.start()
	c.leads(1)
	for _, m := range []*byHand{b, w} {
		c.ok(strings.Fields(strings.ReplaceAll(line, a.config(), m.config()))[1:]...)
		joins(m)
	}
	c.leads(3)
	require.Equal(t, ids, c.ids(), "they are the nodes that they were")
	for _, m := range []*byHand{a, b, w} {
		ca, err := os.ReadFile(filepath.Join(m.dir, "etc", "ca.pem"))
		require.NoError(t, err)
		require.NotEqual(t, old, ca, m.name)
	}
	c.found()
	qemuIO(t, c.inService("web1", "a", 1), pattern("write", 2, 64), "flush")
	c.waitInSync("web1", 2)
	joins(x)
	c.eventually(time.Minute, "four nodes are up", func() bool { return len(c.ids()) == 4 })
	require.NotContains(t, c.run(time.Minute, "health").stdout, "CA")
	r := c.run(time.Minute, "cluster", "restore", "--done", "--new-ca")
	require.Equal(t, 2, r.code, r.stderr)
}

// ids returns the nodes' identities by name.
func (c *cluster) ids() map[string]string {
	c.t.Helper()
	var nodes []struct{ ID, Name string }
	c.object(&nodes, "node", "list")
	ids := map[string]string{}
	for _, n := range nodes {
		ids[n.Name] = n.ID
	}
	return ids
}
