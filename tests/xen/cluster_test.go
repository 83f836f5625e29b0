package xen

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/linuxguest"
)

// network is where the nodes are: a bridge, which has the addresses of those that run beside the Xen hosts.
const network = "10.77.0."

// cluster is three nodes that are coordinators and have the data, as processes of this machine, and two Xen hosts.
type cluster struct {
	t      *testing.T
	binary string
	hosts  map[string]*Host
}

func (c *cluster) program(limit time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOLDFAST_API=unix://"+filepath.Join(scratch, "n1", "run", "api.sock"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// must runs a program that has to succeed, and returns what it printed.
func (c *cluster) must(name string, args ...string) string {
	c.t.Helper()
	out, err := c.program(2*time.Minute, name, args...)
	require.NoError(c.t, err)
	return out
}

func (c *cluster) ok(args ...string) string {
	c.t.Helper()
	return c.must(c.binary, args...)
}

// eventually waits until something is so. Emulation is slow: what takes a second elsewhere may take a minute.
func (c *cluster) eventually(limit time.Duration, what string, is func() bool) {
	c.t.Helper()
	began := time.Now()
	require.Eventually(c.t, is, limit, 500*time.Millisecond, "not within %s: %s", limit, what)
	c.t.Logf("%s: after %s", what, time.Since(began).Round(100*time.Millisecond))
}

// startCluster starts everything, and shows the ends of all logs if the test fails.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	image, guest, err := parts(t.Context())
	require.NoError(t, err)
	c := &cluster{t: t, binary: build(t), hosts: map[string]*Host{}}
	t.Cleanup(func() {
		if t.Failed() {
			c.dump()
		}
	})
	c.must("ip", "link", "set", "lo", "up")
	c.must("ip", "link", "add", "bridge", "type", "bridge")
	c.must("ip", "link", "set", "bridge", "up")
	for n := range 3 {
		c.startNode(n + 1)
	}
	c.eventually(time.Minute, "three nodes are up", func() bool { return c.up() == 3 })

	for i, name := range []string{"xa", "xb"} {
		tree := filepath.Join(scratch, "tree-"+name)
		require.NoError(t, os.MkdirAll(tree, 0o700))
		c.copy(c.binary, filepath.Join(tree, "holdfast"))
		c.copy(guest.Kernel(), filepath.Join(tree, "vmlinuz"))
		require.NoError(t, guest.Initrd(t.Context(), filepath.Join(tree, "initrd")))
		require.NoError(t, os.WriteFile(filepath.Join(tree, "token"), c.token(), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(tree, "cluster"), []byte(network+"11:7443"), 0o600))
		h, err := NewHost(t.Context(), image, name, fmt.Sprint(network, 21+i), filepath.Join(scratch, name), tree)
		require.NoError(t, err)
		require.NoError(t, os.RemoveAll(tree))
		c.must("ip", "tuntap", "add", "dev", h.Tap(), "mode", "tap")
		c.must("ip", "link", "set", h.Tap(), "master", "bridge", "up")
		require.NoError(t, h.Boot())
		t.Cleanup(func() { require.NoError(t, h.Kill()) })
		c.hosts[name] = h
	}
	c.eventually(6*time.Minute, "both Xen hosts are up", func() bool { return c.up() == 5 })
	c.fill(guest)
	return c
}

// startNode makes this machine one more node of the cluster, with an address of its own.
func (c *cluster) startNode(n int) {
	c.t.Helper()
	name, address := fmt.Sprint("n", n), fmt.Sprint(network, 10+n)
	dir := filepath.Join(scratch, name)
	c.must("ip", "addr", "add", address+"/24", "dev", "bridge")
	where := []string{"--name", name, "--address", address, "--dir", filepath.Join(dir, "etc"),
		"--data-dir", filepath.Join(dir, "data"), "--run-dir", filepath.Join(dir, "run"),
		"--store", "s1=" + filepath.Join(dir, "store"), "--storage-network", network + "0/24"}
	if n == 1 {
		c.ok(append([]string{"cluster", "init", "xen"}, where...)...)
	} else {
		file := filepath.Join(scratch, "token-"+name)
		require.NoError(c.t, os.WriteFile(file, c.token(), 0o600))
		c.ok(append([]string{"cluster", "join", "@" + file, network + "11:7443"}, where...)...)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(c.t, err)
	defer log.Close()
	serve := exec.Command(c.binary, "serve", "--config", filepath.Join(dir, "etc", "node.yaml"))
	serve.Stdout, serve.Stderr = log, log
	require.NoError(c.t, serve.Start())
	c.t.Cleanup(func() {
		_ = serve.Process.Kill()
		_ = serve.Wait()
	})
	c.eventually(time.Minute, name+" is up", func() bool { return c.up() == n })
}

// token returns what a machine needs to join.
func (c *cluster) token() []byte {
	c.t.Helper()
	return []byte(c.ok("cluster", "token", "create", "--role", "node"))
}

// up returns how many nodes are up.
func (c *cluster) up() int {
	out, err := c.program(10*time.Second, c.binary, "node", "list", "-o", "json")
	if err != nil {
		return 0
	}
	var nodes []struct{ State string }
	require.NoError(c.t, json.Unmarshal([]byte(out), &nodes))
	up := 0
	for _, n := range nodes {
		if n.State == "up" {
			up++
		}
	}
	return up
}

// fill makes the guest's volume, with its root on it.
func (c *cluster) fill(guest linuxguest.Parts) {
	c.t.Helper()
	root := filepath.Join(scratch, "root.ext4")
	require.NoError(c.t, guest.Root(c.t.Context(), root, 64<<20))
	c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	c.must("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", root, c.attach())
	c.ok("volume", "detach", "disk")
}

// attach attaches the volume beside the Xen hosts, and returns where it is.
func (c *cluster) attach() string {
	c.t.Helper()
	var a struct{ Exports []struct{ URL string } }
	out := c.ok("volume", "attach", "disk", "--host", "n3", "-o", "json")
	require.NoError(c.t, json.Unmarshal([]byte(out), &a))
	require.NotEmpty(c.t, a.Exports, out)
	return a.Exports[0].URL
}

func (c *cluster) copy(from, to string) {
	c.t.Helper()
	require.NoError(c.t, copyFile(from, to))
}

// guests returns what the guests on a Xen host have written to their consoles.
func (c *cluster) guests(host string) string {
	c.t.Helper()
	text, err := c.hosts[host].Guests()
	require.NoError(c.t, err)
	return text
}

// dump shows the ends of all logs.
func (c *cluster) dump() {
	files, _ := filepath.Glob(filepath.Join(scratch, "n*", "log"))
	for name := range c.hosts {
		for _, file := range []string{"console", "guests", "qemu.log"} {
			files = append(files, filepath.Join(scratch, name, file))
		}
	}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		c.t.Logf("== %s\n%s", file, text[max(0, len(text)-5000):])
	}
}
