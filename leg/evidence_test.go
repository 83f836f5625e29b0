package leg_test

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// rot makes the slot of a leg's label unreadable that a power cut would leave as the newest.
func rot(t *testing.T, fsys leg.FS, id volume.LegID) {
	t.Helper()
	file, err := fsys.Open("legs/" + id.String() + "/label")
	require.NoError(t, err)
	var labels [2]volume.Label
	for slot := range labels {
		buf := make([]byte, volume.LabelBytes)
		_, err := file.ReadAt(buf, int64(slot)*4096)
		require.NoError(t, err)
		labels[slot], err = volume.ParseLabel(buf)
		require.NoError(t, err)
	}
	newest := int64(0)
	if labels[1].SlotSeq > labels[0].SlotSeq {
		newest = 1
	}
	_, err = file.WriteAt([]byte{0xff}, newest*4096+300)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// The slot that said "marked" is rotten and the older one knows of no mark: what it says of the cache
// proves nothing.
func TestOpenLeg_oneSlotIsNoEvidenceOfAKeptCache(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, newStore(t, fsys)), 1)
	require.NoError(t, s.Write(t.Context(), bytes.Repeat([]byte{1}, 4096), 0, 0))
	after := fsys.powerCut(rand.New(rand.NewPCG(1, 1)))
	rot(t, after, testSpec().Leg)
	store := openStore(t, after, "boot 2")
	report, err := login(t, openLeg(t, store), 1).Report()
	require.NoError(t, err)
	require.True(t, report.Lossy)
	require.NoError(t, store.Close())
	report, err = login(t, openLeg(t, openStore(t, after, "boot 2")), 1).Report()
	require.NoError(t, err)
	require.True(t, report.Lossy, "both slots are whole again, and say so")
}

// The kernel tells of a write-back error once. Whoever hears it must remember it for every leg of the
// file system, also for those that it does not open itself.
func TestOpenLeg_remembersAWriteBackErrorForAllLegs(t *testing.T) {
	fsys := newMemFS()
	store := newStore(t, fsys)
	second := testSpec()
	second.Leg = volume.LegID{UUID: volume.UUID{15: 30}}
	require.NoError(t, store.Provision(second))
	for _, id := range []volume.LegID{testSpec().Leg, second.Leg} {
		l, err := store.OpenLeg(id)
		require.NoError(t, err)
		require.NoError(t, configured(t, l, 1).Write(t.Context(), make([]byte, 4096), 0, 0))
	}
	require.NoError(t, store.Close())

	fsys.syncAll = syscall.EIO
	store = openStore(t, fsys, "boot 1")
	openLeg(t, store)
	fsys.syncAll = nil
	require.NoError(t, store.Close(), "the process ends before it opened the other leg")

	l, err := openStore(t, fsys, "boot 1").OpenLeg(second.Leg)
	require.NoError(t, err)
	report, err := login(t, l, 1).Report()
	require.NoError(t, err)
	require.True(t, report.Lossy)
}

// While a leg is closed nobody holds its data open, so nobody hears of its errors but who asks.
func TestOpenLeg_asksForWriteBackErrorsEachTime(t *testing.T) {
	fsys := newMemFS()
	store := newStore(t, fsys)
	l := openLeg(t, store)
	require.NoError(t, configured(t, l, 1).Write(t.Context(), make([]byte, 4096), 0, 0))
	require.NoError(t, l.Close())
	l = openLeg(t, store)
	report, err := login(t, l, 1).Report()
	require.NoError(t, err)
	require.False(t, report.Lossy)
	require.NoError(t, l.Close())
	fsys.syncAll = syscall.EIO
	report, err = login(t, openLeg(t, store), 1).Report()
	require.NoError(t, err)
	require.True(t, report.Lossy)
}

// In class sync an answer is a promise for stable storage, without a flush.
func TestWrite_inClassSyncIsDurableOnAck(t *testing.T) {
	fsys := newMemFS()
	require.NoError(t, leg.InitStore(fsys, testStore, testNode))
	store := openStore(t, fsys, "boot 1")
	spec := testSpec()
	spec.Durability = volume.DurabilitySync
	require.NoError(t, store.Provision(spec))
	s := configured(t, openLeg(t, store), 1)
	one := bytes.Repeat([]byte{1}, 4096)
	require.NoError(t, s.Write(t.Context(), one, 0, 0))
	require.NoError(t, s.Write(t.Context(), one, 4096, 0))
	require.NoError(t, s.Zero(t.Context(), block.Range{Len: 4096}, 0))
	for seed := range uint64(8) {
		after := fsys.powerCut(rand.New(rand.NewPCG(seed, 1)))
		next := configured(t, openLeg(t, openStore(t, after, "boot 2")), 2)
		got := make([]byte, 8192)
		require.NoError(t, next.Read(t.Context(), got, 0))
		require.Equal(t, append(make([]byte, 4096), one...), got)
	}
}

// A process that was killed between the write of a label and its sync leaves it in the page cache,
// where the next one reads it. What that one says of it must survive a power cut.
func TestOpenLeg_makesDurableWhatItRead(t *testing.T) {
	fsys := newMemFS()
	store := newStore(t, fsys)
	l := openLeg(t, store)
	label := "legs/" + l.ID().String() + "/label"
	fsys.setHook(func(op, path string) error {
		if path == label && op == "write" {
			return nil
		}
		return errPower // the process is as good as dead
	})
	_, err := l.Login(t.Context(), leg.Login{Epoch: 5, Attach: attach(5)}, func(string) {})
	require.Error(t, err)
	require.NoError(t, store.Close())
	fsys.setHook(nil)
	l = openLeg(t, openStore(t, fsys, "boot 1"))
	require.Equal(t, volume.Epoch(5), l.Label().FenceEpoch)
	require.ErrorIs(t, l.CheckEpoch(4), block.ErrFenced)
	for seed := range uint64(8) {
		after := openStore(t, fsys.powerCut(rand.New(rand.NewPCG(seed, 2))), "boot 2")
		survived, err := after.ReadLabel(l.ID())
		require.NoError(t, err)
		require.Equal(t, volume.Epoch(5), survived.FenceEpoch)
	}
}

// A start whose sync fails leaves pages in the cache that the disk never got. The next one must not take
// them for durable: it would clear marks whose versions are not.
func TestOpenLeg_failedSyncIsForGood(t *testing.T) {
	for _, name := range []string{"label", "regions"} {
		fsys := newMemFS()
		store := newStore(t, fsys)
		require.NoError(t, configured(t, openLeg(t, store), 1).Write(t.Context(), pattern(1, 1), 0, 0))
		require.NoError(t, store.Close())
		fsys.setHook(func(op, path string) error {
			if op == "sync" && path == legPath(name) {
				return syscall.EIO
			}
			return nil
		})
		store = openStore(t, fsys, "boot 1")
		_, err := store.OpenLeg(testSpec().Leg)
		require.ErrorIs(t, err, syscall.EIO)
		fsys.setHook(nil)
		require.ErrorIs(t, openLeg(t, store).Status().Failed, block.ErrFailed, name)
		require.NoError(t, store.Close())
		require.ErrorIs(t, openLeg(t, openStore(t, fsys, "boot 1")).Status().Failed, block.ErrFailed, name)
	}
}

// In class sync a write that found no room was answered too: what was there before can be read after a power cut,
// although the write had said of each block that it is under way.
func TestWrite_inClassSyncThatFoundNoRoomLosesNothing(t *testing.T) {
	old, next := pattern(1, 2), pattern(2, 2)
	for _, stored := range []int{0, 512, 4096, 5000} {
		fsys := newMemFS()
		require.NoError(t, leg.InitStore(fsys, testStore, testNode))
		store := openStore(t, fsys, "boot 1")
		spec := testSpec()
		spec.Durability = volume.DurabilitySync
		require.NoError(t, store.Provision(spec))
		s := configured(t, openLeg(t, store), 1)
		require.NoError(t, s.Write(t.Context(), old, 0, 0))
		fsys.setTear(func(path string, _ int64, n int) (int, error) {
			if path == legPath("data") {
				return stored, block.ErrNoSpace
			}
			return n, nil
		})
		require.ErrorIs(t, s.Write(t.Context(), next, 0, 0), block.ErrNoSpace)
		fsys.setTear(nil)
		want := append(append([]byte(nil), next[:stored]...), old[stored:]...)
		for seed := range uint64(16) {
			after := fsys.powerCut(rand.New(rand.NewPCG(seed, 3)))
			again := configured(t, openLeg(t, openStore(t, after, "boot 2")), 2)
			got := make([]byte, 2*4096)
			require.NoError(t, again.Read(t.Context(), got, 0), "%d bytes stored, seed %d", stored, seed)
			require.Equal(t, want, got)
		}
	}
}
