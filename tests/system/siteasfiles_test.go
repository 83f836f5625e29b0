package system

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// planView is the part of `plan -o json` that the tests read.
type planView struct {
	Revision string
	Steps    []struct{ Kind, Object, Held string }
	Others   []struct{ Object string }
}

// plan asks what is to be done, which has to end with the exit code, and returns it in short.
func (c *cluster) plan(code int, dir string, more ...string) (string, planView) {
	c.t.Helper()
	var p planView
	r := c.run(time.Minute, append([]string{"plan", "-f", dir, "-o", "json"}, more...)...)
	require.Equal(c.t, code, r.code, "%s%s", r.stdout, r.stderr)
	require.True(c.t, decode(r.stdout, &p), r.stdout)
	var words []string
	for _, s := range p.Steps {
		word := s.Kind + " " + s.Object
		if s.Held != "" {
			word += " held"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", "), p
}

// upgraded has the cluster use all that it knows, as soon as every coordinator has said what it understands.
func (c *cluster) upgraded() {
	c.t.Helper()
	c.eventually(time.Minute, "the cluster is upgraded", func() bool {
		return c.run(time.Minute, "cluster", "upgrade").code == 0
	})
}

// killedAt runs a command and kills it once it has said that it is at something.
func (c *cluster) killedAt(word string, args ...string) {
	c.t.Helper()
	cmd := exec.Command(os.Getenv(binaryEnv), args...)
	cmd.Env = append(os.Environ(), c.env...)
	said, err := cmd.StderrPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, cmd.Start())
	lines, found := bufio.NewScanner(said), false
	for !found && lines.Scan() {
		found = strings.HasPrefix(lines.Text(), word+":")
	}
	require.True(c.t, found, "it never came to %s", word)
	require.NoError(c.t, cmd.Process.Kill())
	require.Error(c.t, cmd.Wait())
}

// edit changes a file of a site.
func edit(t *testing.T, file, old, fresh string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), old, fresh, 1)), 0o600))
}

// TestSite_theExample makes a cluster what the example says, as its README has it, and follows a change of its files.
func TestSite_theExample(t *testing.T) {
	c := up(t, 3)
	c.upgraded()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("../../examples/site")))
	web1 := filepath.Join(dir, "pservers", "n1", "domUs", "web1.yaml")
	guest := filepath.Join(dir, "vservers", "web1", "guest.yaml")

	t.Log("all is to be done, is done, and stays so")
	words, p := c.plan(2, dir)
	require.Equal(t, "set_cluster cluster, set_replace_after cluster, set_node node/n1, set_node node/n2, "+
		"set_node node/n3, create_volume volume/db1, set_replace_after volume/db1, create_volume volume/db1-log, "+
		"create_volume volume/web1, set_export volume/db1, define_domain domain/db1, define_domain domain/web1, "+
		"start_domain domain/web1", words)
	r := c.run(time.Minute, "apply", "-f", dir, "--revision", "000000000000")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "any more, but plan "+p.Revision)
	c.killedAt("create_volume volume/db1", "apply", "-f", dir, "--revision", p.Revision)
	c.ok("apply", "-f", dir)
	words, _ = c.plan(0, dir)
	require.Empty(t, words)
	require.Contains(t, c.ok("plan", "-f", dir), "Nothing is to be done")
	d := c.guest("web1")
	require.Equal(t, "running", d.State)
	require.Equal(t, "n1", d.Host)
	pid := d.PID
	require.Equal(t, []string{"n1", "n3"}, sorted(c.volume("db1-log").inSync()))

	t.Log("a file changes: what goes on meanwhile is done at once, a restart waits for leave")
	edit(t, guest, "iops: 500", "iops: 600")
	edit(t, guest, "    spread: zone", "    spread: zone\n    scrub_every: 48h")
	edit(t, web1, "stop_timeout: 5s", "stop_timeout: 6s")
	const held = "stop_domain domain/web1 held, redefine_domain domain/web1 held, start_domain domain/web1 held"
	words, _ = c.plan(2, dir)
	require.Equal(t, "set_limit volume/web1, set_scrub_every volume/web1, "+held, words)
	r = c.run(time.Minute, "apply", "-f", dir)
	require.Equal(t, 2, r.code, r.stderr)
	require.Contains(t, r.stdout, "--restart web1")
	words, _ = c.plan(2, dir)
	require.Equal(t, held, words)
	require.Equal(t, pid, c.guest("web1").PID, "the guest was not touched")
	c.ok("apply", "-f", dir, "--restart", "web1")
	require.Contains(t, c.ok("domain", "show", "web1", "-o", "yaml"), "stop_timeout: 6s")
	d = c.guest("web1")
	require.Equal(t, "running", d.State)
	require.NotEqual(t, pid, d.PID)

	t.Log("daemons that were restarted know it all")
	for _, node := range []string{"n1", "n2", "n3"} {
		c.ok("dev", "stop", node, "--dir", c.dir)
		c.ok("dev", "start", node, "--dir", c.dir)
	}
	c.eventually(time.Minute, "nothing is to be done", func() bool {
		return c.run(time.Minute, "plan", "-f", dir).code == 0
	})

	t.Log("what leaves the files stays, until it is named")
	require.NoError(t, os.Remove(filepath.Join(dir, "pservers", "n2", "domUs", "db1.yaml")))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "vservers", "db1")))
	_, p = c.plan(0, dir)
	require.Len(t, p.Others, 3)
	c.ok("apply", "-f", dir, "--prune", "--delete-volume", "db1-log")
	require.NotContains(t, c.ok("domain", "list"), "db1")
	volumes := c.ok("volume", "list")
	require.Contains(t, volumes, "db1 ")
	require.NotContains(t, volumes, "db1-log")

	t.Log("what cannot be is refused, with everything else")
	edit(t, guest, "size: 64M", "size: 128M")
	edit(t, guest, "iops: 600", "iops: 700")
	words, _ = c.plan(1, dir)
	require.Equal(t, "set_limit volume/web1", words)
	r = c.run(time.Minute, "apply", "-f", dir)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "volume/web1: size is 64M, the site says 128M")
	edit(t, guest, "size: 128M", "sise: 64M")
	r = c.run(time.Minute, "plan", "-f", dir)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, guest+": line 5, column 5: the field sise is unknown")
}

// siteOf writes a site of machines made by hand, whose guest web1 has its home on the last of them.
func siteOf(t *testing.T, machines ...*byHand) string {
	t.Helper()
	dir := t.TempDir()
	write := func(text string, parts ...string) {
		file := filepath.Join(append([]string{dir}, parts...)...)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	write("name: prod\n", "global", "cluster.yaml")
	for _, m := range machines {
		write(fmt.Sprintf("location: {zone: z%s}\naddress: %s\nconfig_dir: %s\ndata_dir: %s\nrun_dir: %s\n"+
			"stores: [{name: s1, path: %s}]\n", m.name, m.address, filepath.Join(m.dir, "etc"),
			filepath.Join(m.dir, "data"), m.run, filepath.Join(m.dir, "store")), "pservers", m.name, "node.yaml")
	}
	home, other := machines[len(machines)-1].name, machines[0].name
	write(fmt.Sprintf("name: web1\ndriver: exec\nexec: {command: [sleep, '1000000']}\nvolumes: [{name: web1}]\n"+
		"hosts: [%s, %s]\nstop_timeout: 2s\n", home, other), "pservers", home, "domUs", "web1.yaml")
	write(fmt.Sprintf("volumes: [{name: web1, size: 16M, legs_on: [%s, %s]}]\n", home, other),
		"vservers", "web1", "guest.yaml")
	write(fmt.Sprintf("volumes: [{name: data1, size: 16M, legs_on: [%s, %s]}]\n", home, other),
		"vservers", "data1", "guest.yaml")
	return dir
}

// bootstrap makes a machine the node that a site says it is, and runs it: as the first of a cluster, by a token, or
// since it is that node already.
func (m *byHand) bootstrap(dir, token string, first bool) {
	m.t.Helper()
	line := []string{"node", "bootstrap", "-f", dir, "--name", m.name}
	if first {
		line = append(line, "--init")
	}
	if token != "" {
		file := filepath.Join(m.t.TempDir(), "token")
		require.NoError(m.t, os.WriteFile(file, []byte(token), 0o600))
		line = append(line, "@"+file)
	}
	r := run(m.t, time.Minute, nil, os.Getenv(binaryEnv), line...)
	require.Zero(m.t, r.code, r.stderr)
	require.Equal(m.t, "holdfast serve --config "+m.config()+"\n", r.stdout)
	m.start()
}

// TestSite_aWipedMachineComesBack makes a cluster of nothing but a site and join tokens. One machine loses its power
// and everything on it; the site, a token and the cluster give it all back: its identity, its legs and its guest.
func TestSite_aWipedMachineComesBack(t *testing.T) {
	need(t, "qemu-io")
	network := loopbackNet(t)
	a, b, w := newByHand(t, "a", network+"1"), newByHand(t, "b", network+"2"), newByHand(t, "w", network+"3")
	dir := siteOf(t, a, b, w)
	c := a.at()
	token := func() string { return strings.TrimSpace(c.ok("cluster", "token", "create", "--role", "node")) }
	a.bootstrap(dir, "", true)
	c.leads(1)
	b.bootstrap(dir, token(), false)
	w.bootstrap(dir, token(), false)
	c.leads(3)
	c.upgraded()
	c.ok("apply", "-f", dir)
	require.Equal(t, "w", c.guest("web1").Host)

	t.Log("b is to have another role, which only its machine can give it")
	file := filepath.Join(dir, "pservers", "b", "node.yaml")
	edit(t, file, "location:", "roles: [coordinator, host]\nlocation:")
	edit(t, file, "stores:", "# stores:")
	words, _ := c.plan(2, dir)
	require.Equal(t, "configure_node node/b held", words)
	r := c.run(time.Minute, "apply", "-f", dir)
	require.Equal(t, 2, r.code)
	require.Contains(t, r.stdout, "`holdfast node bootstrap` on its machine")
	b.kill()
	b.bootstrap(dir, "", false)
	c.eventually(time.Minute, "nothing is to be done", func() bool {
		return c.run(time.Minute, "plan", "-f", dir).code == 0
	})
	c.leads(3)
	qemuIO(t, c.attach("data1", "b"), pattern("write", 7, 0), "flush")

	t.Log("w loses its power, and its disks are emptied")
	w.kill()
	for _, lost := range []string{filepath.Join(w.dir, "etc"), filepath.Join(w.dir, "data"),
		filepath.Join(w.dir, "store"), w.run} {
		require.NoError(t, os.RemoveAll(lost))
	}
	c.eventually(time.Minute, "the guest runs elsewhere", func() bool {
		d := c.guest("web1")
		return d.Host == "a" && d.State == "running"
	})
	words, _ = c.plan(0, dir)
	require.Empty(t, words, "where the guest has to be it is")

	t.Log("it is installed anew, from the site and a token")
	w.bootstrap(dir, token(), false)
	c.eventually(time.Minute, "it waits for its place", func() bool {
		for _, n := range c.nodes() {
			if n.Name == "w" && n.State == "pending" && n.PID != 0 {
				return true
			}
		}
		return false
	})
	words, _ = c.plan(2, dir)
	require.Equal(t, "replace_node node/w", words)
	r = c.run(time.Minute, "apply", "-f", dir)
	require.Equal(t, 2, r.code, r.stderr)
	c.waitInSync("data1", 2)
	c.waitInSync("web1", 2)
	c.eventually(time.Minute, "it has its legs", func() bool {
		return strings.Contains(strings.Join(c.volume("data1").inSync(), ","), "w") &&
			strings.Contains(strings.Join(c.volume("web1").inSync(), ","), "w")
	})
	c.leads(3)

	t.Log("its guest comes home when it may")
	words, _ = c.plan(2, dir)
	require.Equal(t, "stop_domain domain/web1 held, start_domain domain/web1 held", words)
	c.ok("apply", "-f", dir, "--restart-all")
	require.Equal(t, "w", c.guest("web1").Host)
	words, _ = c.plan(0, dir)
	require.Empty(t, words)
	a.kill()
	c = b.at()
	c.eventually(time.Minute, "what was written is read from the leg that was made anew", func() bool {
		return tryQemuIO(t, c.attach("data1", "b"), pattern("read", 7, 0)).code == 0
	})
}

// guestView is the part of `domain show` that the tests read.
type guestView struct {
	State, Host string
	PID         int
}

func (c *cluster) guest(name string) guestView {
	c.t.Helper()
	var d guestView
	c.object(&d, "domain", "show", name)
	return d
}
