package leg_test

import (
	"fmt"
	"path"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// killedIn writes a pattern to block 2 and returns what a kill leaves right before an operation of that write, which is
// the first that matches.
func killedIn(t *testing.T, fsys *memFS, s *leg.Session, at func(op, file string) bool) *memFS {
	t.Helper()
	var killed *memFS
	fsys.setHook(func(op, file string) error {
		if killed == nil && at(op, file) {
			killed = fsys.afterKill()
		}
		return nil
	})
	require.NoError(t, s.Write(t.Context(), pattern(2, 1), 8192, 0))
	fsys.setHook(nil)
	require.NotNil(t, killed)
	return killed
}

// dataStored is the moment when a write has stored its data and not its checksums. Announced or not, nothing is
// written to the checksums between.
func dataStored() func(op, file string) bool {
	stored := false
	return func(op, file string) bool {
		before := stored
		stored = stored || op == "write" && file == legPath("data")
		return before && op == "write" && file == legPath("checksums")
	}
}

func lossy(t *testing.T, s *leg.Session) bool {
	t.Helper()
	report, err := s.Report()
	require.NoError(t, err)
	return report.Lossy
}

// A place that a start did not read (a former release, another memory_dir, no memory left) is not believed by a later
// one: the block that it names was written and flushed since, and rotted.
func TestWitness_stalePlaceIsNotBelieved(t *testing.T) {
	for _, between := range []string{"", "/other"} {
		t.Run("between "+between, func(t *testing.T) {
			fsys := newMemFS()
			s := configured(t, openLeg(t, newStore(t, fsys)), 1)
			require.NoError(t, s.Write(t.Context(), pattern(1, 4), 0, 0))
			places := 0
			killed := killedIn(t, fsys, s, func(op, _ string) bool {
				if op == "store" {
					places++
				}
				return places == 2 // before the place is given back
			})
			store, err := leg.OpenStore(killed, leg.StoreOptions{BootID: "boot 1", Instance: 9})
			require.NoError(t, err)
			if between != "" {
				require.NoError(t, store.KeepWitness(between))
			}
			s = configured(t, openLeg(t, store), 2)
			require.NoError(t, s.Write(t.Context(), pattern(7, 1), 8192, block.FUA))
			require.NoError(t, store.Close())
			killed.flip(legPath("data"), 8192+600, 3)
			require.True(t, lossy(t, login(t, openLeg(t, openStore(t, killed, "boot 1")), 3)))
		})
	}
}

// A change that failed and could not be taken back has ended all the same: no place of it is left that could explain
// what rots later. Where it was announced, the checksums say so until they are written again.
func TestWitness_ofAChangeThatCouldNotBeTakenBack(t *testing.T) {
	for i := range 8 {
		announced, torn, again := i&1 != 0, i&2 != 0, i&4 != 0
		t.Run(fmt.Sprintf("announced %t, torn %t, written again %t", announced, torn, again), func(t *testing.T) {
			fsys := newMemFS()
			fsys.noMemory = announced
			s := configured(t, openLeg(t, newStore(t, fsys)), 1)
			require.NoError(t, s.Write(t.Context(), pattern(1, 4), 0, 0))
			full := false
			fsys.setTear(func(file string, _ int64, n int) (int, error) {
				switch {
				case file == legPath("data") && torn:
					full = true
					return n / 2, block.ErrNoSpace
				case file == legPath("data"):
					full = true
				case file == legPath("checksums") && full:
					return 0, block.ErrNoSpace
				}
				return n, nil
			})
			require.ErrorIs(t, s.Write(t.Context(), pattern(2, 2), 8192, 0), block.ErrNoSpace)
			fsys.setTear(nil)
			if again {
				require.NoError(t, s.Write(t.Context(), pattern(3, 2), 8192, 0))
				fsys.flip(legPath("data"), 8192+600, 3)
			}
			store := openStore(t, fsys.afterKill(), "boot 1")
			require.Equal(t, again || !announced, lossy(t, login(t, openLeg(t, store), 2)))
		})
	}
}

// After a power cut nothing is settled until a STABLE has ended the marks of the boot before. What a process had under
// way in that time is settled later.
func TestWitness_waitsForTheMarksOfAnEarlierBoot(t *testing.T) {
	for _, announced := range []bool{true, false} {
		t.Run(fmt.Sprintf("announced %t", announced), func(t *testing.T) {
			fsys := newMemFS()
			s := configured(t, openLeg(t, newStore(t, fsys)), 1)
			require.NoError(t, s.Write(t.Context(), pattern(1, 4), 0, 0))
			fsys = fsys.afterCut(func(n int) int { return n - 1 })
			fsys.noMemory = announced
			s = configured(t, openLeg(t, openStore(t, fsys, "boot 2")), 2)
			killed := killedIn(t, fsys, s, dataStored())

			store := openStore(t, killed, "boot 2")
			l := openLeg(t, store)
			s = configured(t, l, 3)
			require.True(t, l.Label().Mixed)
			gen, _, err := s.Rotate()
			require.NoError(t, err)
			require.NoError(t, s.Write(t.Context(), pattern(3, 1), 0, 0))
			require.NoError(t, s.Stable(t.Context(), gen))
			require.NoError(t, store.Close())
			require.False(t, lossy(t, login(t, openLeg(t, openStore(t, killed, "boot 2")), 4)))
		})
	}
}

// Who deletes a leg gives back what was under way on it when a process died; and what names no leg of the store is
// cleared.
func TestWitness_ofLegsThatAreGone(t *testing.T) {
	taken := func(fsys *memFS) (n int) {
		words := fsys.memory["/memory/"+testStore.String()+".witness"]
		for place := 4; place < len(words); place += 4 {
			if words[place+3] != 0 {
				n++
			}
		}
		return n
	}
	fsys := newMemFS()
	s := configured(t, openLeg(t, newStore(t, fsys)), 1)
	require.NoError(t, s.Write(t.Context(), pattern(1, 4), 0, 0))
	killed := killedIn(t, fsys, s, dataStored())
	require.Zero(t, taken(fsys), "the write is over")
	require.Equal(t, 1, taken(killed))
	gone := killed.afterKill()
	require.NoError(t, openStore(t, killed, "boot 1").Delete(testSpec().Leg))
	require.Zero(t, taken(killed))

	require.NoError(t, gone.RemoveAll(path.Dir(legPath("label"))))
	require.NoError(t, openStore(t, gone, "boot 1").Close())
	require.Zero(t, taken(gone))
}

// A start that finds no room to note what was under way goes on.
func TestWitness_noRoomToAnnounce(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, newStore(t, fsys)), 1)
	require.NoError(t, s.Write(t.Context(), pattern(1, 4), 0, 0))
	fsys = fsys.afterCut(func(n int) int { return n - 1 })
	s = configured(t, openLeg(t, openStore(t, fsys, "boot 2")), 2)
	killed := killedIn(t, fsys, s, dataStored())
	killed.setTear(func(file string, _ int64, n int) (int, error) {
		if file == legPath("checksums") {
			return 0, block.ErrNoSpace
		}
		return n, nil
	})
	s = configured(t, openLeg(t, openStore(t, killed, "boot 2")), 3)
	require.ErrorIs(t, s.Read(t.Context(), make([]byte, 4096), 8192), block.ErrMedium)
}

// What a start writes home of a leg that was detached is no change that a place may name: its label is closed, and a
// start that reads no witness would raise nothing.
func TestWitness_aStartHasNone(t *testing.T) {
	r := newJournalRun(t, volume.DurabilityFlush, 0, 0)
	r.fsys.setHook(nil)
	r.login()
	r.commit(r.stage(volume.RecordImage, 1, 2))
	killed := r.fsys.afterKill()
	places, home := 0, 0
	killed.setHook(func(op, file string) error {
		switch {
		case op == "store":
			places++
		case op == "write" && file == legPath("data"):
			home++
		}
		return nil
	})
	openLeg(t, openStore(t, killed, "boot 1"))
	require.NotZero(t, home, "it writes home again")
	require.Zero(t, places)
}
