package leg_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// What a process that died leaves, and its successor in the same boot finds: a block that was under way is
// settled; one that does not match in any other way proves that more was lost than the process.
func TestOpenLeg_settlesWhatWasUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		marked bool
		damage func(*memFS)
		lossy  bool
		bad    bool // after CONFIG
	}{
		"nothing":               {true, func(*memFS) {}, false, false},
		"under way":             {true, func(f *memFS) { f.setSum(2, 1) }, false, false},
		"under way, never here": {true, func(f *memFS) { f.setSum(9, 1) }, false, false},
		"data that is older":    {true, func(f *memFS) { f.flip(legPath("data"), 2*4096+9, 3) }, true, true},
		"another checksum":      {true, func(f *memFS) { f.setSum(2, 12345) }, true, true},
		"checksum of zeroes":    {true, func(f *memFS) { f.setSum(2, 0) }, true, true},
		"checksum of a hole":    {true, func(f *memFS) { f.setSum(9, 12345) }, true, true},
		"unreadable sector": {true, func(f *memFS) {
			f.setHook(func(op, path string) error {
				if op == "read" && path == legPath("data") {
					return block.ErrMedium
				}
				return nil
			})
		}, true, false},
		"rot, nothing marked":       {false, func(f *memFS) { f.flip(legPath("data"), 2*4096+9, 3) }, false, true},
		"under way, nothing marked": {false, func(f *memFS) { f.setSum(2, 1) }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := newMemFS()
			store := newStore(t, fsys)
			s := configured(t, openLeg(t, store), 1)
			require.NoError(t, s.Write(t.Context(), pattern(1, 4), 0, 0))
			if !c.marked {
				stable(t, s)
			}
			require.NoError(t, store.Close())
			c.damage(fsys)
			s = login(t, openLeg(t, openStore(t, fsys, "boot 1")), 2)
			fsys.setHook(nil)
			report, err := s.Report()
			require.NoError(t, err)
			require.Equal(t, c.lossy, report.Lossy)
			require.NoError(t, s.Config(t.Context(), 2, config(2)))
			_, bad, err := s.Checksums(t.Context(), block.Range{Len: testSize}, false)
			require.NoError(t, err)
			require.Equal(t, c.bad, len(bad) == 1, "bad blocks: %v", bad)
			if !c.bad {
				return
			}
			// The host knows of the loss now, so it may say that what is there has to do; but not
			// where no write can have been under way.
			r := block.Range{Off: int64(bad[0]) * 4096, Len: 4096}
			require.ErrorIs(t, s.Read(t.Context(), make([]byte, 4096), r.Off), block.ErrMedium)
			err = s.Adopt(t.Context(), block.Range{Len: testSize})
			if !c.marked {
				require.ErrorIs(t, err, leg.ErrInvalid)
				return
			}
			require.NoError(t, err)
			require.NoError(t, s.Read(t.Context(), make([]byte, testSize), 0))
		})
	}
}

// setSum sets the checksum of a block, in the page cache and on the medium.
func (f *memFS) setSum(n int64, sum uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sums := f.find(legPath("checksums"))
	sums.own()
	for i := range int64(4) {
		b := byte(sum >> (24 - 8*i))
		sums.data[4096+4*n+i], sums.durableData[4096+4*n+i] = b, b
	}
}

// Nobody is let in by a leg that lost its cache, ADOPT or not, until its host has said that it knows.
func TestAdopt_isIOLikeAnyOther(t *testing.T) {
	fsys := newMemFS()
	store := newStore(t, fsys)
	l := openLeg(t, store)
	r := block.Range{Len: testSize}
	require.ErrorIs(t, login(t, l, 1).Adopt(t.Context(), r), leg.ErrNotAdmitted)
	old := configured(t, l, 2)
	require.ErrorIs(t, old.Adopt(t.Context(), block.Range{Off: testSize, Len: 4096}), block.ErrOutOfRange)
	require.NoError(t, old.Adopt(t.Context(), r), "there is nothing to adopt")
	require.False(t, l.Label().Marked, "and it marks nothing")
	login(t, l, 3)
	require.ErrorIs(t, old.Adopt(t.Context(), r), block.ErrFenced)
}

// What was under way is settled only where the page cache is proved to be kept. Where a block says that it
// was not, one that was under way may be torn.
func TestOpenLeg_settlesNothingOnALegThatLostItsCache(t *testing.T) {
	fsys := newMemFS()
	store := newStore(t, fsys)
	require.NoError(t, configured(t, openLeg(t, store), 1).Write(t.Context(), pattern(1, 4), 0, 0))
	require.NoError(t, store.Close())
	fsys.setSum(1, 1)
	fsys.flip(legPath("data"), 3*4096+9, 3)
	s := configured(t, openLeg(t, openStore(t, fsys, "boot 1")), 2)
	_, bad, err := s.Checksums(t.Context(), block.Range{Len: testSize}, false)
	require.NoError(t, err)
	require.Equal(t, []uint32{1, 3}, bad)
}

// A power cut tears a block, a CONFIG takes the marks over into the next boot, and the process dies before
// the host has reconciled: that is no loss of the cache, and a torn block is not settled.
func TestOpenLeg_marksOfAnEarlierBootAreNotSettled(t *testing.T) {
	for _, durability := range []volume.Durability{volume.DurabilityFlush, volume.DurabilitySync} {
		for name, tear := range map[string]func(*memFS){
			"under way":   func(f *memFS) { f.setSum(1, 1) },
			"not matched": func(*memFS) {},
		} {
			t.Run(string(durability)+" "+name, func(t *testing.T) {
				fsys := newMemFS()
				require.NoError(t, leg.InitStore(fsys, testStore, testNode))
				store, spec := openStore(t, fsys, "boot 1"), testSpec()
				spec.Durability = durability
				require.NoError(t, store.Provision(spec))
				s := configured(t, openLeg(t, store), 1)
				require.NoError(t, s.Write(t.Context(), pattern(1, 4), 0, block.FUA))
				fsys.flip(legPath("data"), 4096+600, 2) // one sector of the block is of a write that was not answered
				tear(fsys)

				fsys = fsys.afterCut(func(n int) int { return n - 1 })
				store = openStore(t, fsys, "boot 2")
				configured(t, openLeg(t, store), 2)
				require.NoError(t, store.Close())
				store = openStore(t, fsys, "boot 2")
				s = login(t, openLeg(t, store), 3)
				report, err := s.Report()
				require.NoError(t, err)
				require.False(t, report.Lossy, "this boot has lost nothing")
				require.NoError(t, s.Config(t.Context(), 3, config(3)))
				torn := block.Range{Off: 4096, Len: 4096}
				require.ErrorIs(t, s.Read(t.Context(), make([]byte, 4096), 4096), block.ErrMedium)
				require.NoError(t, s.Adopt(t.Context(), torn))

				// A write is under way when the host says that it has reconciled: that one is of this boot.
				require.NoError(t, s.Write(t.Context(), pattern(2, 1), 0, 0))
				stable(t, s)
				require.NoError(t, s.Write(t.Context(), pattern(3, 1), 8192, 0))
				require.NoError(t, store.Close())
				fsys.setSum(2, 1)
				s = configured(t, openLeg(t, openStore(t, fsys, "boot 2")), 4)
				require.NoError(t, s.Read(t.Context(), make([]byte, testSize), 0), "settled")
			})
		}
	}
}

// A region that is written all the time keeps its mark; a STABLE says of it too that what an earlier boot
// left there was reconciled.
func TestStable_endsTheMarksOfAnEarlierBoot(t *testing.T) {
	fsys := newMemFS()
	require.NoError(t, configured(t, openLeg(t, newStore(t, fsys)), 1).Write(t.Context(), pattern(1, 1), 0, 0))
	fsys = fsys.afterCut(func(n int) int { return n - 1 })
	l := openLeg(t, openStore(t, fsys, "boot 2"))
	s := configured(t, l, 2)
	require.True(t, l.Label().Mixed)
	gen, _, err := s.Rotate()
	require.NoError(t, err)
	require.NoError(t, s.Write(t.Context(), pattern(2, 1), 0, 0))
	require.NoError(t, s.Stable(t.Context(), gen))
	require.True(t, l.Label().Marked)
	require.False(t, l.Label().Mixed)
}
