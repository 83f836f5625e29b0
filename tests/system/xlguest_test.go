package system

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/internal/fakexl"
	"github.com/holdfast-storage/holdfast/node/host"
)

// TestXLGuest_isDestroyedByItsEngineWhenNoDaemonCan moves a domain away from a host whose daemon is dead, or frozen:
// the old engine, which is fenced, has the domain destroyed by its kill command, again and again until Xen does so. Xen
// is a stand-in here that checks every call.
func TestXLGuest_isDestroyedByItsEngineWhenNoDaemonCan(t *testing.T) {
	for name, stop := range map[string]syscall.Signal{"dead": syscall.SIGKILL, "frozen": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			x, c := fakexl.New(t), up(t, 5)
			c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
			file := filepath.Join(t.TempDir(), "xen1.yaml")
			require.NoError(t, os.WriteFile(file, []byte(fmt.Sprintf(`name: xen1
driver: xl
memory: 128M
boot: {kernel: /boot/vmlinuz}
volumes: [{name: disk, device: xvda}]
hosts: [n4, n5]
stop_timeout: 1s
xl: {binary: %q, storage_daemon: %q}
`, x.XL, x.StorageDaemon)), 0o600))
			c.ok("domain", "define", "-f", file)
			c.ok("domain", "start", "xen1")
			show := func() (d domainView) {
				c.object(&d, "domain", "show", "xen1")
				return d
			}
			c.eventually(time.Minute, "the guest runs", func() bool { return show().State == "running" })
			old := show()
			require.Equal(t, "n4", old.Host)
			id, err := proc.Identify(old.PID)
			require.NoError(t, err)
			here, there := x.Host(c.runDir("n4")), x.Host(c.runDir("n5"))
			require.Len(t, here.Domains(), 1)
			require.Empty(t, there.Domains())

			var daemon int
			for _, n := range c.nodes() {
				if n.Name == "n4" {
					daemon = n.PID
				}
			}
			require.NotZero(t, daemon)
			c.eventually(time.Minute, "the guest is guarded", func() bool { return guarded(c, "n4", "disk") })
			require.NoError(t, syscall.Kill(daemon, stop))
			here.Set("stuck") // Xen does not let go of it at first
			c.ok("domain", "failover", "xen1", "--to", "n5")
			require.Equal(t, "n5", show().Host)
			c.eventually(time.Minute, "it is tried again", func() bool { return len(here.Calls("destroy")) >= 3 })
			require.False(t, id.Alive())
			require.Len(t, here.Domains(), 1)
			here.Unset("stuck")
			c.eventually(time.Minute, "the old guest is gone", func() bool { return len(here.Domains()) == 0 })
			require.Len(t, there.Domains(), 1)
			if stop == syscall.SIGSTOP {
				require.NoError(t, syscall.Kill(daemon, syscall.SIGCONT))
			} else {
				c.start(5)
			}
			c.eventually(time.Minute, "every node is up", func() bool {
				for _, n := range c.nodes() {
					if n.State != "up" {
						return false
					}
				}
				return true
			})
			c.ok("domain", "failover", "xen1", "--to", "n4")
			require.Len(t, here.Domains(), 1)
			require.Empty(t, there.Domains())
			c.ok("domain", "stop", "xen1")
			require.Empty(t, here.Domains())
		})
	}
}

// guarded reports whether an engine says that it will end a guest by its command when its grant is lost: that comes
// moments after the guest's start, and until then nothing but a daemon ends it.
func guarded(c *cluster, node, volume string) bool {
	text, err := os.ReadFile(filepath.Join(host.EngineDir(c.runDir(node), volume), "engine.log"))
	return err == nil && strings.Contains(string(text), "by_command=true")
}

// runDir returns the run directory of a node.
func (c *cluster) runDir(node string) string {
	c.t.Helper()
	text, err := os.ReadFile(c.config(node))
	require.NoError(c.t, err)
	var config struct {
		RunDir string `yaml:"run_dir"`
	}
	require.NoError(c.t, yaml.Unmarshal(text, &config))
	return config.RunDir
}
