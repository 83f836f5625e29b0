package rescue_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/rescue"
	"github.com/holdfast-storage/holdfast/volume"
)

func TestExport_volumeThatWasDetached(t *testing.T) {
	w := newWorld(t)
	before := digest(t, w.dirs...)
	o := w.options()
	r, err := w.scan(nextBoot).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To)
	require.True(t, r.Done)
	require.False(t, r.Explicit)
	require.Len(t, r.Legs, 2)
	require.True(t, r.Legs[0].Used && r.Legs[1].Used)
	require.Empty(t, r.FromOther)
	require.NoFileExists(t, o.To+".part")

	var st syscall.Stat_t
	require.NoError(t, syscall.Stat(o.To, &st))
	require.Less(t, st.Blocks*512, int64(testSize/2), "zeroes stay holes")
	text, err := os.ReadFile(o.To + ".report")
	require.NoError(t, err)
	var saved rescue.Report
	require.NoError(t, json.Unmarshal(text, &saved))
	require.True(t, saved.Done)
	require.Equal(t, r.Legs, saved.Legs)
	require.Equal(t, before, digest(t, w.dirs...), "the disks are as they were")
}

func TestExport_byIDAndFromADirectoryAbove(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Volume = testVolume().String()
	_, err := w.scan(nextBoot, filepath.Dir(w.dirs[0]), filepath.Dir(w.dirs[1]), w.dirs[0]).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To)
	o.Volume = "web2"
	_, err = w.scan(nextBoot).Export(t.Context(), o)
	require.ErrorContains(t, err, "there are legs of: web1")
}

func TestExport_badBlockComesFromAnotherLeg(t *testing.T) {
	w := newWorld(t)
	w.damage(0, "data", 8192)
	w.damage(0, "checksums", 4096) // of block 0
	w.damage(0, "data", 4096)      // a hole that is none any more
	o := w.options()
	r, err := w.scan(nextBoot).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To)
	require.Equal(t, []rescue.Span{span(0, 3, legID(1))}, r.FromOther)
	require.Empty(t, r.Diverged)
}

func TestExport_unreadableBlocksNeedTheOperatorsWord(t *testing.T) {
	w := newWorld(t)
	for n := range byte(2) {
		w.damage(n, "data", 1<<20)
	}
	o := w.options()
	r, err := w.scan(nextBoot).Export(t.Context(), o)
	var unreadable *rescue.UnreadableError
	require.ErrorAs(t, err, &unreadable)
	require.Equal(t, int64(volume.BlockBytes), unreadable.Bytes)
	require.ErrorContains(t, err, o.To+".report")
	require.Equal(t, []rescue.Span{span(1<<20, 1, volume.LegID{})}, r.Unreadable)
	require.NoFileExists(t, o.To)

	o.Resume, o.AllowUnreadable = true, true
	r, err = w.scan(nextBoot).Export(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, r.Unreadable, 1)
	clear(w.want[1<<20:][:volume.BlockBytes])
	requireContent(t, w.want, o.To)
}

// TestExport_unfinishedWrite: processes died in this boot with a write on one leg only.
func TestExport_unfinishedWrite(t *testing.T) {
	w := newWorld(t)
	g := w.attach(2, 0, 1)
	g.write(blocks(1), 2<<20) // answered, not flushed: in the page caches
	g.writeOne(1, blocks(2), 0)
	g.die()
	o := w.options()
	r, err := w.scan(thisBoot).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To) // of the first leg throughout
	require.Equal(t, []rescue.Span{span(0, 2, legID(0))}, r.Differing)
	require.Empty(t, r.Diverged)
}

func TestExport_afterAPowerCut(t *testing.T) {
	w := newWorld(t)
	g := w.attach(2, 0, 1)
	g.write(blocks(1), 2<<20)
	g.die()
	c := w.scan(nextBoot)
	require.True(t, c.Legs[0].Lossy && c.Legs[1].Lossy)
	o := w.options()
	_, err := c.Export(t.Context(), o)
	var refused *rescue.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Options, 2)
	require.Contains(t, refused.Options[0], "--leg "+legID(0).String())
	require.Contains(t, refused.Options[0], "after a power cut")
	require.NoFileExists(t, o.To+".report", "nothing began")

	// Torn on both: what the named leg holds counts, as it would for an engine.
	w.damage(0, "data", 2<<20)
	w.damage(1, "data", 2<<20)
	w.want[2<<20] ^= 0xff
	o.Legs = []volume.LegID{legID(1)}
	r, err := w.scan(nextBoot).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To)
	require.True(t, r.Explicit)
	require.NotEmpty(t, r.Overruled)
	require.Equal(t, []rescue.Span{span(2<<20, 1, legID(1))}, r.Adopted)
}

// TestExport_legThatIsAbsent: the labels here cannot know what the absent leg knows.
func TestExport_legThatIsAbsent(t *testing.T) {
	w := newWorld(t)
	old := append([]byte{}, w.want...)
	g := w.attach(2, 1) // leg 0 was gone, and left the list
	g.write(blocks(1), 0)
	g.die()
	o := w.options()
	_, err := w.scan(thisBoot, w.dirs[0]).Export(t.Context(), o)
	var refused *rescue.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, []volume.LegID{legID(1)}, refused.Missing)
	require.ErrorContains(t, err, legID(1).String())

	// With both, the newer list decides.
	r, err := w.scan(thisBoot).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To)
	require.False(t, r.Legs[0].Used)
	require.Contains(t, r.Legs[0].Why, "not in the newest in-sync list")

	// Alone, the newer one proves not that nobody joined it.
	o = w.options()
	_, err = w.scan(thisBoot, w.dirs[1]).Export(t.Context(), o)
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "no leg of slot 0")
	o.Legs = []volume.LegID{legID(1)}
	_, err = w.scan(thisBoot, w.dirs[1]).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To)

	// The stale one is what it was, if the operator wants that.
	o = w.options()
	o.Legs = []volume.LegID{legID(0)}
	r, err = w.scan(thisBoot).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, old, o.To)
	require.False(t, r.Legs[1].Used, "blocks of another time do not stand in")
}

func TestExport_interruptedAndResumed(t *testing.T) {
	w := newWorld(t)
	w.damage(0, "data", 0)
	o := w.options()
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(done, total int64) {
		require.Equal(t, int64(testSize), total)
		if done == 2<<20 {
			cancel()
		}
	}
	r, err := w.scan(nextBoot).Export(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "--resume")
	require.Equal(t, int64(2<<20), r.NextByte)
	require.NoFileExists(t, o.To)

	o.Progress = nil
	_, err = w.scan(nextBoot).Export(t.Context(), o)
	require.ErrorContains(t, err, "--resume", "an unfinished export is not overwritten")

	o.Resume, o.Legs = true, []volume.LegID{legID(1)}
	_, err = w.scan(nextBoot).Export(t.Context(), o)
	require.ErrorContains(t, err, "other evidence")

	o.Legs = nil
	o.Progress = func(done, _ int64) { require.Greater(t, done, int64(2<<20), "what is done is not done again") }
	r, err = w.scan(nextBoot).Export(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, r.FromOther, 1)
	requireContent(t, w.want, o.To)
}

// The part before the interruption is of the leg that counted then, so no other one can count after it.
func TestExport_isNotResumedWithAnotherFirstLeg(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Legs = []volume.LegID{legID(0)}
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(int64, int64) { cancel() }
	_, err := w.scan(nextBoot).Export(ctx, o)
	require.ErrorIs(t, err, context.Canceled)

	o.Resume, o.Legs, o.Progress = true, []volume.LegID{legID(1)}, nil
	_, err = w.scan(nextBoot).Export(t.Context(), o)
	require.ErrorContains(t, err, "other evidence")
	o.Legs = []volume.LegID{legID(0)}
	_, err = w.scan(nextBoot).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To)
}

// What was written after the last checkpoint is read again, and may be unreadable by then.
func TestExport_resumedForgetsWhatIsNotInTheReport(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(int64, int64) { cancel() }
	_, err := w.scan(nextBoot).Export(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	part, err := os.OpenFile(o.To+".part", os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = part.WriteAt(blocks(1), 3<<20)
	require.NoError(t, errors.Join(err, part.Close()))

	o.Resume, o.Progress = true, nil
	_, err = w.scan(nextBoot).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To)
}

// The disks are evidence: nothing is made on a store, least of all in the place of a leg's files.
func TestExport_neverIntoAStore(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, os.Mkdir(filepath.Join(w.dirs[1], "legs", "web1"), 0o700))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(w.dirs[1], link))
	before := digest(t, w.dirs...)
	o := w.options()
	o.Force = true
	for _, to := range []string{
		w.path(1, "data"), filepath.Join(w.dirs[0], "web1.img"), filepath.Join(w.dirs[1], "legs", "web1", "web1.img"),
		filepath.Join(link, "web1.img"), filepath.Join(w.dirs[0], "..", filepath.Base(w.dirs[0]), "web1.img"),
	} {
		o.To = to
		_, err := w.scan(nextBoot).Export(t.Context(), o)
		require.ErrorContains(t, err, "on a store", to)
		require.Equal(t, before, digest(t, w.dirs...), to)
	}
	w = newWorld(t)
	node := w.open(1)
	defer func() { require.NoError(t, node.Close()) }()
	o.To, o.Legs = filepath.Join(w.dirs[1], "web1.img"), []volume.LegID{legID(0)}
	_, err := w.scan(nextBoot).Export(t.Context(), o)
	require.ErrorContains(t, err, "on a store", "one that is in use, too")
}

func TestExport_neverOverwritesUnasked(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	require.NoError(t, os.WriteFile(o.To, []byte("mine"), 0o600))
	_, err := w.scan(nextBoot).Export(t.Context(), o)
	require.ErrorContains(t, err, "exists and is not overwritten")
	text, err := os.ReadFile(o.To)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))

	o.Force = true
	_, err = w.scan(nextBoot).Export(t.Context(), o)
	require.NoError(t, err)
	requireContent(t, w.want, o.To)

	o.To = t.TempDir()
	_, err = w.scan(nextBoot).Export(t.Context(), o)
	require.ErrorContains(t, err, "not overwritten", "a directory never is")
	o.Resume = true
	_, err = w.scan(nextBoot).Export(t.Context(), o)
	require.ErrorContains(t, err, "one of them")
}

// TestExport_legsThatDisagreeWithoutAMark: each block is right by its checksum, and yet they differ.
func TestExport_legsThatDisagreeWithoutAMark(t *testing.T) {
	w := newWorld(t)
	g := w.attach(2, 0, 1)
	g.writeOne(1, blocks(1), 3<<20)
	g.detach()
	o := w.options()
	r, err := w.scan(nextBoot).Export(t.Context(), o)
	var unreadable *rescue.UnreadableError
	require.True(t, errors.As(err, &unreadable))
	require.Equal(t, []rescue.Span{span(3<<20, 1, legID(0))}, r.Diverged)
}
