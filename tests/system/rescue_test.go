package system

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block/filedev"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/volume"
)

// rescuedLeg is the part of `rescue scan` that the test reads.
type rescuedLeg struct {
	Leg        string
	Dir        string
	VolumeName string `json:"volume_name"`
	CfgVer     uint64
	InSync     []string `json:"in_sync"`
	Marked     bool
	Lossy      bool
	Records    int
	Problem    string
}

// storeDirs returns the directories of the cluster's stores.
func storeDirs(t *testing.T, c *cluster) []string {
	t.Helper()
	var dirs []string
	for _, path := range find(t, c.dir, "store.json") {
		dirs = append(dirs, filepath.Dir(path))
	}
	return dirs
}

// TestRescue_clusterThatIsGone reads a volume from the stores of a cluster whose processes all died while
// it was attached and written to.
func TestRescue_clusterThatIsGone(t *testing.T) {
	need(t, "qemu-io")
	c := up(t, 3)
	c.ok("volume", "create", "web1", "--size", "16M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	url := c.attach("web1", "n3")
	qemuIO(t, url, "write -P 0x11 0 1M", "write -P 0x22 5M 64k", "flush", "write -P 0x33 16380k 4k")
	dirs := storeDirs(t, c)

	r := c.run(time.Minute, append([]string{"rescue", "scan"}, dirs...)...)
	require.Equal(t, 1, r.code, "a store that a node uses is left alone")
	require.Contains(t, r.stderr, "in use")

	c.ok("dev", "down", "--dir", c.dir)
	var legs []rescuedLeg
	c.object(&legs, append([]string{"rescue", "scan"}, dirs...)...)
	require.Len(t, legs, 2)
	for _, l := range legs {
		require.Equal(t, "web1", l.VolumeName)
		require.Len(t, l.InSync, 2)
		require.Empty(t, l.Problem)
		require.False(t, l.Lossy, "the system did not restart")
	}

	image := filepath.Join(t.TempDir(), "web1.img")
	export := func(dirs []string, more ...string) result {
		args := append(append([]string{"rescue", "export"}, dirs...), "--volume", "web1", "--to", image)
		return c.run(time.Minute, append(args, more...)...)
	}
	r = export([]string{legs[0].Dir})
	require.Equal(t, 1, r.code, "with a leg in sync missing it would be a guess")
	require.Contains(t, r.stderr, legs[1].Leg)
	require.Contains(t, r.stderr, "--leg "+legs[0].Leg)
	require.NoFileExists(t, image)

	r = export(dirs)
	require.Zerof(t, r.code, "%s", r.stderr)
	pattern := []string{"read -P 0x11 0 1M", "read -P 0 1M 4M", "read -P 0x22 5M 64k", "read -P 0x33 16380k 4k"}
	qemuIO(t, image, pattern...)
	require.Equal(t, 1, export(dirs).code, "what is there is not overwritten")

	r = export([]string{legs[0].Dir}, "--leg", legs[0].Leg, "--force")
	require.Zerof(t, r.code, "%s", r.stderr)
	qemuIO(t, image, pattern...)
	text, err := os.ReadFile(image + ".report")
	require.NoError(t, err)
	var report struct {
		Explicit  bool `json:"explicit_leg"`
		Overruled []string
		Done      bool
	}
	require.NoError(t, json.Unmarshal(text, &report))
	require.True(t, report.Explicit && report.Done)
	require.NotEmpty(t, report.Overruled)
}

// TestRescue_parityWithFullJournals reads volumes of parity after all processes died at once in the middle of writes:
// what was acknowledged is in the journals of legs, and any k of them have it.
func TestRescue_parityWithFullJournals(t *testing.T) {
	for _, set := range []struct {
		layout string
		nodes  int
		absent [][]int // disks that are not there for an export
	}{
		{"parity=2+1", 3, [][]int{nil, {0}, {1}, {2}}},
		{"parity=3+2,chunk=8K", 5, [][]int{nil, {4}, {0, 3}, {1, 2}}},
	} {
		t.Run(set.layout, func(t *testing.T) {
			need(t, "qemu-io")
			c := up(t, set.nodes)
			c.ok("volume", "create", "p", "--size", "64M", "--layout", set.layout)
			url := c.attach("p", "n1")
			qemuIO(t, url, "write -P 0x11 3M 4M", "write -P 0x22 12M 64k", "flush", "write -P 0x33 65532k 4k")
			books := newLedger(t, 32<<20)
			d := dial(t, url)
			books.run(t.Context(), d, c.diesAtOnce("p"))
			_ = d.Close() // its server is dead

			dirs := storeDirs(t, c)
			var legs []rescuedLeg
			c.object(&legs, append([]string{"rescue", "scan"}, dirs...)...)
			require.Len(t, legs, set.nodes)
			pending := 0
			for _, l := range legs {
				require.Empty(t, l.Problem)
				require.Len(t, l.InSync, set.nodes)
				require.False(t, l.Lossy, "the system did not restart")
				pending += l.Records
			}
			require.NotZero(t, pending, "the journals hold what is not at home")

			image := filepath.Join(t.TempDir(), "p.img")
			for _, absent := range set.absent {
				var here []string
				for i, l := range legs {
					if !slices.Contains(absent, i) {
						here = append(here, l.Dir)
					}
				}
				args := append(append([]string{"rescue", "export"}, here...), "--volume", "p", "--to", image, "--force")
				r := c.run(time.Minute, args...)
				require.Zerof(t, r.code, "without %v: %s", absent, r.stderr)
				qemuIO(t, image, "read -P 0x11 3M 4M", "read -P 0x22 12M 64k", "read -P 0x33 65532k 4k",
					"read -P 0 0 3M", "read -P 0 7M 5M", "read -P 0 37M 20M")
				judge := *books // each export may decide otherwise on what was not acknowledged
				file, err := filedev.Open(image, filedev.Options{BlockBytes: volume.BlockBytes, ReadOnly: true})
				require.NoError(t, err)
				require.Zerof(t, judge.settle(file), "acknowledged writes are gone without %v", absent)
				require.NoError(t, file.Close())
			}
			r := c.run(time.Minute, "rescue", "export", legs[0].Dir, "--volume", "p", "--to", image, "--force")
			require.Equal(t, 1, r.code)
			require.Contains(t, r.stderr, "are enough to have gone on")
		})
	}
}

// diesAtOnce returns what kills every process of the cluster, the engine of a volume too, so that none acts on the
// end of another.
func (c *cluster) diesAtOnce(name string) func() {
	c.t.Helper()
	pids := []int{c.volume(name).Attachment.EnginePID}
	for _, n := range c.nodes() {
		pids = append(pids, n.PID)
	}
	require.NotContains(c.t, pids, 0)
	var all []*proc.Handle
	for _, pid := range pids {
		id, err := proc.Identify(pid)
		require.NoError(c.t, err)
		h, err := proc.Open(id)
		require.NoError(c.t, err)
		c.t.Cleanup(h.Close)
		all = append(all, h)
	}
	return func() {
		for _, h := range all {
			if err := h.Signal(syscall.SIGKILL); err != nil {
				c.t.Errorf("kill %s: %v", h.ID(), err)
			}
		}
		for _, h := range all { // until then it holds the lock of its store
			if err := h.Wait(context.Background()); err != nil {
				c.t.Errorf("wait for the end of %s: %v", h.ID(), err)
			}
		}
	}
}
