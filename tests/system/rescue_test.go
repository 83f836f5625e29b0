package system

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
