package rescue_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/rescue"
	"github.com/holdfast-storage/holdfast/volume"
)

func TestScan_whatEachLegKnows(t *testing.T) {
	w := newWorld(t)
	g := w.attach(2, 1)
	g.write(blocks(1), 0)
	g.die()
	c := w.scan(nextBoot)
	require.Empty(t, c.Problems)
	require.Len(t, c.Legs, 2)
	stale, last := c.Legs[0], c.Legs[1]
	require.Equal(t, "web1", stale.VolumeName)
	require.Equal(t, volume.Mirror(2), stale.Layout)
	require.Equal(t, []int{0, 1}, []int{stale.Slot, last.Slot})
	require.Equal(t, int64(testSize), stale.SizeBytes)
	require.Equal(t, volume.CfgVer(1), stale.CfgVer)
	require.True(t, stale.Closed)
	require.False(t, stale.Marked || stale.Lossy)
	require.Equal(t, volume.Epoch(2), last.Epoch)
	require.Equal(t, []volume.LegID{legID(1)}, last.InSync)
	require.True(t, last.Marked && last.Lossy && !last.Closed)
	require.Equal(t, 1, last.MarkedRegions)
	require.False(t, w.scan(thisBoot).Legs[1].Lossy, "in the same boot the cache is kept")
}

func TestScan_sameBootWithATornCacheIsLossy(t *testing.T) {
	w := newWorld(t)
	g := w.attach(2, 0, 1)
	g.write(blocks(2), 0)
	g.die()
	w.damage(0, "data", 4096)
	c := w.scan(thisBoot)
	require.True(t, c.Legs[0].Lossy, "marks of this boot, and a block that is not what was written")
	require.False(t, c.Legs[1].Lossy)
	o := w.options()
	r, err := c.Export(t.Context(), o)
	require.NoError(t, err)
	require.False(t, r.Legs[0].Used)
	requireContent(t, w.want, o.To)
}

func TestScan_damage(t *testing.T) {
	for _, tc := range []struct {
		name    string
		spoil   func(w *world)
		check   func(t *testing.T, w *world, c *rescue.Catalogue)
		refused string // "" if the export works
	}{
		{"one slot of a label", func(w *world) { w.damage(0, "label", 100) },
			func(t *testing.T, _ *world, c *rescue.Catalogue) {
				require.Len(t, c.Legs[0].Damage, 1)
				require.True(t, c.Legs[0].Lossy, "the slot that is gone may have said so")
			}, ""},
		{"both slots", func(w *world) { w.damage(0, "label", 100); w.damage(0, "label", 4196) },
			func(t *testing.T, _ *world, c *rescue.Catalogue) {
				require.Contains(t, c.Legs[0].NoLabel, "corrupt", "legs without a label come first")
			}, "without a readable label"},
		{"marks", func(w *world) { w.damage(0, "regions", 512) }, func(t *testing.T, _ *world, c *rescue.Catalogue) {
			require.Len(t, c.Legs[0].Damage, 1)
			require.False(t, c.Legs[0].Marked, "void without the label's flag")
		}, ""},
		{"no regions", func(w *world) { require.NoError(w.t, os.Remove(w.path(0, "regions"))) },
			func(t *testing.T, _ *world, c *rescue.Catalogue) {
				require.Contains(t, c.Legs[0].Problem, "region file is missing")
				require.True(t, c.Legs[0].Marked && c.Legs[0].Lossy)
			}, ""},
		{"no checksums", func(w *world) { require.NoError(w.t, os.Remove(w.path(0, "checksums"))) },
			func(t *testing.T, _ *world, c *rescue.Catalogue) {
				require.Contains(t, c.Legs[0].Problem, "checksums are missing")
			}, ""},
		{"header of checksums", func(w *world) { w.damage(0, "checksums", 0) },
			func(t *testing.T, _ *world, c *rescue.Catalogue) { require.Empty(t, c.Legs[0].Problem) }, ""},
		{"data cut short", func(w *world) { require.NoError(w.t, os.Truncate(w.path(0, "data"), 1<<20)) },
			func(t *testing.T, _ *world, c *rescue.Catalogue) {
				require.Contains(t, c.Legs[0].Problem, "its data has")
			}, ""},
		{"failed for good", func(w *world) {
			require.NoError(w.t, os.WriteFile(w.path(0, "failed"), []byte("sync: input/output error"), 0o600))
		}, func(t *testing.T, _ *world, c *rescue.Catalogue) {
			require.Contains(t, c.Legs[0].Problem, "failed for good")
		}, ""},
		{"identity of a store", func(w *world) {
			require.NoError(w.t, os.WriteFile(filepath.Join(w.dirs[0], "store.json"), []byte("{"), 0o600))
		}, func(t *testing.T, _ *world, c *rescue.Catalogue) {
			require.Len(t, c.Problems, 1)
			require.Contains(t, c.Problems[0], "store.json")
		}, ""},
		{"leg under another name", func(w *world) {
			from := filepath.Dir(w.path(0, "label"))
			require.NoError(w.t, os.Rename(from, filepath.Join(filepath.Dir(from), legID(9).String())))
		}, func(t *testing.T, _ *world, c *rescue.Catalogue) {
			require.Contains(t, c.Legs[0].NoLabel, "its label says leg")
		}, "was not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tc.spoil(w)
			c := w.scan(nextBoot)
			require.Len(t, c.Legs, 2)
			tc.check(t, w, c)
			o := w.options()
			_, err := c.Export(t.Context(), o)
			if tc.refused != "" {
				require.ErrorContains(t, err, tc.refused)
				return
			}
			require.NoError(t, err)
			requireContent(t, w.want, o.To)
		})
	}
}

func TestScan_clones(t *testing.T) {
	w := newWorld(t)
	copied := w.copyStore(0)
	dirs := append([]string{copied}, w.dirs...)
	c := w.scan(nextBoot, dirs...)
	require.Len(t, c.Legs, 3)
	require.Len(t, c.Legs[0].AlsoAt, 1)
	o := w.options()
	_, err := c.Export(t.Context(), o)
	require.ErrorContains(t, err, copied)
	require.ErrorContains(t, err, w.dirs[0])
	o.Legs = []volume.LegID{legID(0)}
	_, err = c.Export(t.Context(), o)
	require.ErrorContains(t, err, "leave out the directory")

	// The copy instead of the original is as good: it is one leg.
	o = w.options()
	_, err = w.scan(nextBoot, copied, w.dirs[1]).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To)
}

func TestScan_copiedIntoAnotherStore(t *testing.T) {
	w := newWorld(t)
	from := filepath.Dir(w.path(0, "label"))
	to := filepath.Join(w.dirs[1], "legs", legID(0).String())
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	require.NoError(t, os.RemoveAll(from))
	c := w.scan(nextBoot)
	require.Contains(t, c.Legs[0].Problem, "copied here")
	o := w.options()
	r, err := c.Export(t.Context(), o)
	require.NoError(t, err, "the other leg has everything")
	require.False(t, r.Legs[0].Used)
}

func TestScan_storeInUse(t *testing.T) {
	w := newWorld(t)
	node := w.open(0)
	c := w.scan(nextBoot)
	require.Len(t, c.Problems, 1)
	require.Contains(t, c.Problems[0], "in use")
	require.Contains(t, c.Problems[0], node.ID().String())
	require.Len(t, c.Legs, 1)
	_, err := c.Export(t.Context(), w.options())
	require.ErrorContains(t, err, "was not found")
	require.NoError(t, node.Close())
	require.Empty(t, w.scan(nextBoot).Problems)
}

func TestScan_refusesWhatIsNoStore(t *testing.T) {
	_, err := rescue.Scan(t.Context(), []string{t.TempDir()}, nextBoot)
	require.ErrorContains(t, err, "holds no store")
	_, err = rescue.Scan(t.Context(), []string{filepath.Join(t.TempDir(), "nowhere")}, nextBoot)
	require.ErrorIs(t, err, os.ErrNotExist)
	file := filepath.Join(t.TempDir(), "disk.img")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = rescue.Scan(t.Context(), []string{file}, nextBoot)
	require.ErrorContains(t, err, "mount the disk")
}
