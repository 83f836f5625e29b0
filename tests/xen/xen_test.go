package xen

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/linuxguest"
)

const definition = `name: xen1
driver: xl
memory: 192M
boot: {kernel: /node/vmlinuz, initrd: /node/initrd, command_line: "console=hvc0 quiet panic=-1"}
volumes: [{name: disk, device: xvda}]
hosts: [xa, xb]
stop_timeout: 2m
`

// TestXen_theDomainCountsOnElsewhere runs a real domU of real Xen hosts, with its root on a volume of two legs. One
// host loses its power, the other is halted so that its clocks stand still: to itself, its grant looks fresh when it
// goes on. Then the first, which is back, is frozen as a whole, and its clocks jump. Each time the domU comes up on the
// other host and counts on from a number that is not below any that was reported as synced, and a host that goes on
// ends its own.
func TestXen_theDomainCountsOnElsewhere(t *testing.T) {
	if !enter(t) {
		return
	}
	c := startCluster(t)
	file := filepath.Join(scratch, "xen1.yaml")
	require.NoError(t, os.WriteFile(file, []byte(definition), 0o600))
	c.ok("domain", "define", "-f", file)
	c.ok("domain", "start", "xen1")
	c.counts("xa")

	require.NoError(t, c.hosts["xa"].Kill())
	kept := c.last("xa")
	c.counts("xb")
	c.wentOn("xb", kept)
	require.NoError(t, c.hosts["xa"].Boot())
	c.eventually(6*time.Minute, "the host is back", func() bool { return c.up() == 5 })

	halted := c.hosts["xb"]
	c.comesBack(halted, "xa", func() error { return halted.Halt(t.Context()) },
		func() error { return halted.Resume(t.Context()) })
	frozen := c.hosts["xa"]
	c.comesBack(frozen, "xb", frozen.Freeze, frozen.Thaw)

	c.ok("domain", "stop", "xen1")
	c.clean()
}

// comesBack stops a host that runs the domU until its clone counts elsewhere, and lets it go on.
func (c *cluster) comesBack(h *Host, other string, stop, resume func() error) {
	c.t.Helper()
	require.NoError(c.t, stop())
	kept := c.last(h.Name)
	ended, said := c.ended(h.Name), len(linuxguest.Synced(c.guests(h.Name)))
	c.counts(other)
	c.wentOn(other, kept)
	require.NoError(c.t, resume())
	c.eventually(3*time.Minute, h.Name+" is up again", func() bool { return c.up() == 5 })
	c.counts(other)
	c.eventually(2*time.Minute, h.Name+" has ended its domU", func() bool { return c.ended(h.Name) > ended })
	// It may have been stopped between the end of a sync and the word that it says of it.
	require.LessOrEqual(c.t, len(linuxguest.Synced(c.guests(h.Name))), said+1, "the old domU counted on")
}

// counts waits until the domU on a host reports some more numbers than it has.
func (c *cluster) counts(host string) {
	c.t.Helper()
	enough := len(linuxguest.Synced(c.guests(host))) + 10
	c.eventually(5*time.Minute, "the domU on "+host+" counts", func() bool {
		return len(linuxguest.Synced(c.guests(host))) >= enough
	})
}

// last returns the last number that was reported on a host: it is kept, whatever becomes of the host.
func (c *cluster) last(host string) uint64 {
	c.t.Helper()
	all := linuxguest.Synced(c.guests(host))
	require.NotEmpty(c.t, all)
	require.True(c.t, slices.IsSorted(all), "%s: %v", host, all)
	return all[len(all)-1]
}

// wentOn holds that the latest domU on a host found all that had been reported elsewhere.
func (c *cluster) wentOn(host string, kept uint64) {
	c.t.Helper()
	began := linuxguest.Began(c.guests(host))
	require.NotEmpty(c.t, began)
	require.GreaterOrEqual(c.t, began[len(began)-1], kept, "a number that was reported as synced is lost")
	c.t.Logf("%d was reported as synced, %s goes on from %d", kept, host, began[len(began)-1])
}

// ended returns how many domUs a host has seen end, by its own word.
func (c *cluster) ended(host string) int {
	c.t.Helper()
	text, err := c.hosts[host].Console()
	require.NoError(c.t, err)
	return strings.Count(text, "guest ended")
}

// clean reads the volume back: its file system was left in order.
func (c *cluster) clean() {
	c.t.Helper()
	image := filepath.Join(scratch, "back.img")
	c.must("qemu-img", "convert", "-f", "raw", "-O", "raw", c.attach(), image)
	c.ok("volume", "detach", "disk")
	require.NotContains(c.t, c.must("e2fsck", "-f", "-n", image), "journal recovery", "it was not unmounted in order")
}
