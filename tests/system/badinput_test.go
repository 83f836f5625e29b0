package system

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBadInput_onTheCommandLine holds that every mistake is answered with the object and what to do,
// and that nothing is lost by it.
func TestBadInput_onTheCommandLine(t *testing.T) {
	need(t, "qemu-io")
	c := up(t, 3)
	c.ok("volume", "create", "web1", "--size", "64M", "--layout", "mirror=2")
	url := c.attach("web1", "n1")
	qemuIO(t, url, "write -P 7 0 64k", "flush")

	spec := filepath.Join(t.TempDir(), "d.yaml")
	require.NoError(t, os.WriteFile(spec, []byte("name: web1\ndriver: exec\nspeed: 1G\n"), 0o600))

	for name, x := range map[string]struct {
		args string // split at blanks
		code int
		says []string
	}{
		"unknown volume":        {"volume show nope", 1, []string{"nope"}},
		"attach unknown volume": {"volume attach nope --host n1", 1, []string{"nope"}},
		"attach unknown host":   {"volume attach web1 --host nope --takeover", 1, []string{"nope"}},
		"second attach":         {"volume attach web1 --host n2", 1, []string{"web1", "n1", "--takeover"}},
		"delete attached":       {"volume delete web1", 1, []string{"web1", "n1"}},
		"name taken":            {"volume create web1 --size 64M", 1, []string{"web1"}},
		"bad name":              {"volume create Web/1 --size 64M", 1, []string{"Web/1"}},
		"no multiple":           {"volume create x --size 5000", 1, []string{"5000", "8192"}},
		"bad size":              {"volume create x --size 10X", 2, []string{"10X"}},
		"too few nodes":         {"volume create x --size 64M --layout mirror=4", 1, []string{"4", "3"}},
		"unknown layout":        {"volume create x --size 64M --layout raid=5", 1, []string{"raid=5"}},
		"parity too wide": {"volume create x --size 64M --layout parity=4+2", 1,
			[]string{"parity=4+2", "6", "3"}},
		"parity that is none": {"volume create x --size 64M --layout parity=2+0", 1,
			[]string{"parity=2+0", "1 to 3"}},
		"odd chunk": {"volume create x --size 64M --layout parity=2+1,chunk=48K", 1,
			[]string{"48K", "power of two"}},
		"unknown leg node":  {"volume create x --size 64M --legs-on n1,n9", 1, []string{"n9"}},
		"unknown domain":    {"domain start nope", 1, []string{"nope"}},
		"unknown field":     {"domain define -f " + spec, 1, []string{"line 3, column 1", "speed"}},
		"unknown node":      {"node replace n9 n1", 1, []string{"n9"}},
		"replace by itself": {"node replace n1 n1", 1, []string{"n1"}},
		"unknown command":   {"volume explode", 2, []string{"explode"}},
		"unknown flag":      {"volume list --nope", 2, []string{"--nope"}},
		"missing argument":  {"volume show", 2, []string{"volume show"}},
		"unknown output":    {"volume list -o xml", 2, []string{"xml"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.run(30*time.Second, strings.Fields(x.args)...)
			require.Equalf(t, x.code, r.code, "%s%s", r.stdout, r.stderr)
			for _, word := range x.says {
				require.Contains(t, r.stderr, word)
			}
			require.NotContains(t, r.stderr, "goroutine ")
		})
	}
	qemuIO(t, url, "read -P 7 0 64k")
}

// TestBadInput_atTheListeners sends what no peer should send to every listener of a node.
func TestBadInput_atTheListeners(t *testing.T) {
	need(t, "qemu-io")
	c := up(t, 3)
	c.ok("volume", "create", "web1", "--size", "64M", "--layout", "mirror=2")
	url := c.attach("web1", "n1")
	qemuIO(t, url, "write -P 7 0 64k", "flush")
	var nodes []struct{ Addr string }
	c.object(&nodes, "node", "list")
	ports := listeners(t, c)
	require.NotEmpty(t, ports)
	garbage := make([]byte, 64<<10)
	for i := range garbage {
		garbage[i] = byte(i * 7)
	}
	for _, addr := range ports {
		for _, bytes := range [][]byte{garbage, garbage[:1], garbage[:48], make([]byte, 4096)} {
			conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
			require.NoError(t, err, addr)
			require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Second)))
			_, _ = conn.Write(bytes) // the peer may hang up at once: that is a good answer
			require.NoError(t, conn.Close())
		}
	}
	qemuIO(t, url, "read -P 7 0 64k", "write -P 8 64k 64k", "flush")
	for _, n := range c.nodes() {
		require.Equal(t, "up", n.State, n.Name)
	}
}

// TestBadInput_atRest damages what is at rest and restarts the node: it says what is wrong and
// serves the rest.
func TestBadInput_atRest(t *testing.T) {
	need(t, "qemu-io")
	c := up(t, 4)
	c.ok("volume", "create", "web1", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n2,n3")
	url := c.attach("web1", "n4")
	qemuIO(t, url, "write -P 7 0 64k", "flush")

	t.Run("corrupt label", func(t *testing.T) {
		c.ok("dev", "kill", "n2", "--dir", c.dir)
		labels := find(t, filepath.Join(c.dir, "n2"), "label")
		require.Len(t, labels, 1)
		require.NoError(t, os.WriteFile(labels[0], make([]byte, 8192), 0o600))
		c.ok("dev", "start", "n2", "--dir", c.dir)
		c.eventually(30*time.Second, "health names the leg that lost its label", func() bool {
			r := c.run(30*time.Second, "health", "-o", "json")
			return r.code != 0 && contains(r.stdout, "label")
		})
		require.Equal(t, []string{"n3"}, c.volume("web1").inSync(), "a lost leg is never in sync again by itself")
		qemuIO(t, url, "read -P 7 0 64k")
	})

	t.Run("torn raft store", func(t *testing.T) {
		c.ok("dev", "kill", "n1", "--dir", c.dir)
		stores := find(t, filepath.Join(c.dir, "n1"), "raft.db")
		require.Len(t, stores, 1)
		torn, err := os.ReadFile(stores[0])
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(stores[0], torn[:len(torn)/3], 0o600))
		r := c.run(30*time.Second, "dev", "start", "n1", "--dir", c.dir)
		require.NotZero(t, r.code)
		require.Contains(t, r.stderr, "raft.db")
		require.NotContains(t, r.stderr, "goroutine ")
		qemuIO(t, url, "read -P 7 0 64k", "write -P 9 0 64k", "flush", "read -P 9 0 64k")
	})
}
