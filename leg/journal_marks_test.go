package leg_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// otherRegion is a block of the second region of a leg.
const otherRegion = volume.RegionBytes / volume.BlockBytes

// setBackFile gives a file what it held when an earlier state was taken: the disk lost what was written since.
func (f *memFS) setBackFile(p string, to *memFS) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.find(p)
	n.data = cloneBytes(to.find(p).durableData)
	n.durableData, n.shared, n.pending = cloneBytes(n.data), false, nil
}

// stageUnfinished stages two records of one region and one of another; the first two are committed if asked.
func stageUnfinished(t *testing.T, s *leg.Session, commit bool) {
	t.Helper()
	require.NoError(t, s.Stage(t.Context(), record(1, 1, volume.RecordDelta, 3, 1), blockOf(5)))
	require.NoError(t, s.Stage(t.Context(), record(1, 2, volume.RecordImage, 4, 1), blockOf(6)))
	require.NoError(t, s.Flush(t.Context()))
	if commit {
		require.NoError(t, s.Commit(t.Context(), up(1, 2)))
	}
}

// endings are how records come to their end, beside one of another region that stays.
func endings(t *testing.T) map[string]func(s *leg.Session) {
	t.Helper()
	return map[string]func(s *leg.Session){
		"freed":   func(s *leg.Session) { require.NoError(t, s.Free(t.Context(), up(1, 2))) },
		"dropped": func(s *leg.Session) { require.NoError(t, s.Drop(t.Context(), up(1, 2))) },
		"rolled back": func(s *leg.Session) {
			require.NoError(t, s.Rollback(t.Context(), []volume.Transaction{up(1, 2), up(1, 1)}))
		},
	}
}

// A mark goes only after what ended the records of its region is durable. A leg that has them again, and not the mark,
// is on a disk that lost what it had said was durable: it has failed, and nothing of them goes home.
func TestOpenLeg_recordsWithoutMarks(t *testing.T) {
	for name, end := range endings(t) {
		for _, another := range []bool{false, true} { // beside a region that stays marked, or with no mark left at all
			for _, boot := range []string{"boot 1", "boot 2"} {
				fsys := newMemFS()
				s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilityFlush)), 1)
				stageUnfinished(t, s, name == "freed")
				before := fsys.afterKill()
				end(s)
				stable(t, s)
				after := fsys.afterCut(func(int) int { return 0 })
				if another {
					require.NoError(t, s.Write(t.Context(), blockOf(9), otherRegion*volume.BlockBytes, block.FUA))
					after = fsys.afterCut(func(int) int { return 0 })
				}
				list, err := heldBy(t, after.afterKill(), boot)
				require.NoError(t, err)
				require.Empty(t, list)

				after.setBackFile(legPath("journal"), before)
				home := cloneBytes(after.find(legPath("data")).data)
				_, err = heldBy(t, after, boot)
				require.ErrorContains(t, err, "the journal is damaged: record e1.1 of blocks [3,+1) is there without "+
					"the mark of region 0", "%s, %v, %s", name, another, boot)
				require.Equal(t, home, after.find(legPath("data")).data, "a freed record is older than home")
			}
		}
	}
}

// A roll-back that rotted, with nothing behind it that could tell, brings its records back just so.
func TestOpenLeg_rotOfARollback(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilityFlush)), 1)
	stageUnfinished(t, s, false)
	endings(t)["rolled back"](s)
	left := fsys.afterCut(func(int) int { return 0 })
	flipAt(left, 2*imageBytes+20)
	list, err := heldBy(t, left, "boot 2")
	require.NoError(t, err)
	require.Len(t, list, 2, "the marks are there: it may never have come")
	stable(t, s)
	left = fsys.afterCut(func(int) int { return 0 })
	flipAt(left, 2*imageBytes+20)
	_, err = heldBy(t, left, "boot 2")
	require.ErrorContains(t, err, "without the mark")
}

// What ended for good lies in the ring for a while, and its marks are gone: no disk has lost anything.
func TestOpenLeg_marksThatWentInOrder(t *testing.T) {
	for name, end := range endings(t) {
		fsys := newMemFS()
		s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilityFlush)), 1)
		ctx := t.Context()
		// The oldest record in the ring is the last to go, but for a drop, which leaves none.
		stays := name != "dropped"
		if stays {
			require.NoError(t, s.Stage(ctx, record(1, 9, volume.RecordImage, otherRegion, 1), blockOf(7)))
		}
		stageUnfinished(t, s, name == "freed")
		end(s)
		stable(t, s)
		for boot, left := range map[string]*memFS{"boot 1": fsys.afterKill(),
			"boot 2": fsys.afterCut(func(int) int { return 0 })} {
			require.Contains(t, placesOf(t, left), journal.Place(0), "%s: it is in the ring", name)
			list, err := heldBy(t, left, boot)
			require.NoError(t, err, "%s, %s", name, boot)
			require.Equal(t, stays, len(list) == 1, "%s, %s: %v", name, boot, list)
		}
	}
}

// placesOf returns the places of the whole entries that stand in the ring, whether they count or not.
func placesOf(t *testing.T, f *memFS) (places []journal.Place) {
	t.Helper()
	ring := f.find(legPath("journal")).data[volume.JournalHeadBytes:]
	for at := 0; at < len(ring); at += journal.SectorBytes {
		if e, err := journal.ParseEntry(ring[at:], paritySpec().Leg); err == nil {
			places = append(places, e.Place)
		}
	}
	return places
}

// Where the marks themselves are damaged, or half of the label is, nothing proves that a mark was missing.
func TestOpenLeg_recordsBesideDamagedMarks(t *testing.T) {
	for name, damage := range map[string]func(*memFS){
		"sector of marks":    func(f *memFS) { f.flip(legPath("regions"), leg.RegionSectorBytes+1, 1) },
		"one label slot":     func(f *memFS) { f.flip(legPath("label"), 100, 1) },
		"the other slot":     func(f *memFS) { f.flip(legPath("label"), 4096+100, 1) },
		"sector of versions": func(f *memFS) { f.flip(legPath("regions"), 2*leg.RegionSectorBytes+1, 1) },
	} {
		fsys := newMemFS()
		s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilitySync)), 1)
		stageUnfinished(t, s, false)
		left := fsys.afterCut(func(int) int { return 0 })
		damage(left)
		list, err := heldBy(t, left, "boot 2")
		require.NoError(t, err, name)
		require.Len(t, list, 2, name)
	}
}

// Whoever looks at the disk without its node is told as well, and may read what is there all the same.
func TestReadOnly_recordsWithoutMarks(t *testing.T) {
	dir := t.TempDir()
	s := configured(t, openLeg(t, parityStore(t, leg.OSFS(dir), volume.DurabilitySync)), 1)
	stageUnfinished(t, s, true)
	path := filepath.Join(dir, legPath("journal"))
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, s.Free(t.Context(), up(1, 2)))
	stable(t, s)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(before, 0)
	require.NoError(t, errors.Join(err, file.Close()))
	copied := t.TempDir() // the node has its store locked
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	l := readOnlyLeg(t, openReadOnly(t, copied, "boot 1"))
	require.ErrorContains(t, l.Problem, "without the mark of region 0")
	require.True(t, l.Readable())
	require.Equal(t, blockOf(6), shown(t, l)[4])
}
