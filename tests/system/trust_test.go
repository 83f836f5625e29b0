package system

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTrust_aClusterMadeByHand makes a cluster as an operator does: two servers and a witness, which vote by
// themselves. A token admits one machine of one cluster, in time. A server that loses its power takes one leg
// and no decision with it. In all of this no secret gets to where anybody could see it.
func TestTrust_aClusterMadeByHand(t *testing.T) {
	need(t, "qemu-io")
	network := loopbackNet(t)
	a, b := newByHand(t, "a", network+"1"), newByHand(t, "b", network+"2")
	w, x := newByHand(t, "w", network+"3"), newByHand(t, "x", network+"4")
	c := a.at()
	c.ok(append([]string{"cluster", "init", "prod"}, a.where(true)...)...)
	require.Contains(t, c.run(time.Minute, append([]string{"cluster", "init", "prod"}, a.where(true)...)...).stderr,
		"is node a of cluster prod already")
	a.start()
	c.leads(1)

	t.Log("two more join, each with a token of its own")
	seen := secrets{}
	token := func(c *cluster, more ...string) string {
		text := strings.TrimSpace(c.ok(append([]string{"cluster", "token", "create", "--role", "node"}, more...)...))
		seen.addText("a join token", text)
		return text
	}
	first := token(c)
	for _, j := range []struct {
		m     *byHand
		token string
	}{{b, first}, {w, token(c)}} {
		r := j.m.join(j.token, a, j.m != w)
		require.Zero(t, r.code, r.stderr)
		j.m.start()
	}
	x.refused(first, a, "was used already, by node b")
	expired := token(c, "--ttl", "1s")
	c.eventually(10*time.Second, "the token is over", func() bool {
		return strings.Contains(c.ok("cluster", "token", "list"), "expired")
	})
	x.refused(expired, a, "expired at")
	c.leads(3)

	t.Log("a token of another cluster")
	o := newByHand(t, "o", network+"5")
	other := o.at()
	other.ok(append([]string{"cluster", "init", "other"}, o.where(true)...)...)
	o.start()
	other.leads(1)
	foreign := token(other)
	x.refused(foreign, a, "is not of cluster other")
	x.refused(token(c), o, "nothing was told to it")
	o.kill()

	t.Log("a volume on both servers, and a caller from afar")
	c.ok("volume", "create", "web1", "--size", "64M", "--layout", "mirror=2", "--legs-on", "a,b")
	c.waitInSync("web1", 2)
	qemuIO(t, c.attach("web1", "a"), pattern("write", 1, 0), "flush")
	file := filepath.Join(t.TempDir(), "token")
	bearer := strings.TrimSpace(c.ok("token", "create", "ci", "--role", "operator"))
	seen.addText("an API token", bearer)
	require.NoError(t, os.WriteFile(file, []byte(bearer+"\n"), 0o600))
	afar := &cluster{t: t, env: []string{"HOLDFAST_API=https://" + w.api(), "HOLDFAST_TOKEN_FILE=" + file,
		"HOLDFAST_CA=" + filepath.Join(w.dir, "etc", "ca.pem")}}
	require.Equal(t, []string{"a", "b"}, sorted(afar.volume("web1").inSync()))
	r := afar.run(time.Minute, "cluster", "token", "create", "--role", "node")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "needs the role admin")

	t.Log("no secret is seen anywhere")
	backup := filepath.Join(t.TempDir(), "backup")
	c.ok("cluster", "backup", backup)
	for _, m := range []*byHand{a, b, w} {
		key, err := os.ReadFile(filepath.Join(m.dir, "etc", "node.key"))
		require.NoError(t, err)
		block, _ := pem.Decode(key)
		require.NotNil(t, block)
		seen.addKey(t, "the key of "+m.name, block.Bytes)
		require.Contains(t, seen.in(key), "the key of "+m.name, "the search finds what is there")
	}
	seen.addCluster(t, backup)
	text, err := os.ReadFile(backup)
	require.NoError(t, err)
	require.NotEmpty(t, seen.in(text), "the search finds what is there")
	dirs := []string{a.dir, a.run, b.dir, b.run, w.dir, w.run}
	mark := rootEnv + "=" + os.Getenv(rootEnv)
	seen.nowhere(t, processesWith(t, mark), dirs...)

	t.Log("a loses its power: the other one and the witness decide")
	a.kill()
	c = b.at()
	c.eventually(30*time.Second, "another one leads", func() bool { l := c.leader(); return l == "b" || l == "w" })
	url := c.attach("web1", "b", "--takeover")
	qemuIO(t, url, pattern("read", 1, 0), pattern("write", 2, 64), "flush", pattern("read", 2, 64))
	var h struct{ Status string }
	r = c.run(time.Minute, "health", "-o", "json")
	require.True(t, decode(r.stdout, &h), r.stdout)
	t.Log("health: " + h.Status)
	require.Contains(t, []string{"degraded", "at_risk"}, h.Status, r.stdout)
	c.ok("cluster", "backup", backup+"2")
	seen.addCluster(t, backup+"2")
	seen.nowhere(t, processesWith(t, mark), dirs...)
	for _, command := range []string{"events", "health", "node list", "volume show web1", "why volume/web1",
		"cluster status", "cluster token list", "token list"} {
		r := c.run(time.Minute, append(strings.Fields(command), "-o", "json")...)
		require.NotEmptyf(t, r.stdout, "%s: %s", command, r.stderr)
		require.Empty(t, seen.in([]byte(r.stdout+r.stderr)), command)
	}
}

func sorted(list []string) []string { slices.Sort(list); return list }
