package leg_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// flipAt flips one bit of the ring at a place.
func flipAt(f *memFS, p journal.Place) {
	ring := paritySpec().Layout.JournalBytes(paritySpec().SizeBytes) - volume.JournalHeadBytes
	f.flip(legPath("journal"), volume.JournalHeadBytes+int64(p)%ring, 1)
}

// heldBy opens the leg of a store that starts on what a crash left, and returns what it lists. A leg that has failed
// lists nothing, and says why.
func heldBy(t *testing.T, fsys leg.FS, boot string) ([]volume.Record, error) {
	t.Helper()
	store := openStore(t, fsys, boot)
	defer func() { require.NoError(t, store.Close()) }()
	l, err := store.OpenLeg(paritySpec().Leg)
	if err != nil {
		require.Error(t, openLeg(t, store).Status().Failed, "it is remembered")
		return nil, err
	}
	have, _, err := configured(t, l, 9).Records(t.Context(), 0, 99)
	require.NoError(t, err)
	return have.Records, nil
}

func stageImages(t *testing.T, s *leg.Session, from, to uint64) {
	t.Helper()
	for n := from; n <= to; n++ {
		require.NoError(t, s.Stage(t.Context(), record(1, n, volume.RecordImage, int64(n), 1), blockOf(n)))
	}
}

// imageBytes is how much of the ring one record of stageImages takes up.
const imageBytes = journal.SectorBytes + volume.BlockBytes

// What rotted of a journal while its node was down is noticed, for what was durable: each later entry says how far that
// was, and an end that was not sudden says it of all.
func TestOpenLeg_rotBehindTheCut(t *testing.T) {
	for name, c := range map[string]struct {
		records uint64
		clean   bool // the leg was closed
		at      journal.Place
	}{
		"head of the first":           {records: 3, at: 20},
		"payload of the first":        {records: 3, at: journal.SectorBytes + 700},
		"head before the last":        {records: 3, at: imageBytes + 20},
		"the first of many":           {records: 12, at: 0},
		"the last, closed":            {records: 3, clean: true, at: 2*imageBytes + 20},
		"payload of the last, closed": {records: 3, clean: true, at: 2*imageBytes + 4000},
		"the only one, closed":        {records: 1, clean: true, at: 9},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := newMemFS()
			store := parityStore(t, fsys, volume.DurabilitySync)
			stageImages(t, configured(t, openLeg(t, store), 1), 1, c.records)
			if c.clean {
				require.NoError(t, store.Close())
			}
			rotten := fsys.afterCut(func(int) int { return 0 })
			list, err := heldBy(t, rotten.afterKill(), "boot 2")
			require.NoError(t, err)
			require.Len(t, list, int(c.records), "all was durable")
			flipAt(rotten, c.at)
			list, err = heldBy(t, rotten, "boot 2")
			require.ErrorContains(t, err, "the journal is damaged", "it lists %v", list)
		})
	}
}

// Whoever looks at the disk without its node is told as well.
func TestReadOnly_rotOfAJournalThatWasClosed(t *testing.T) {
	dir := t.TempDir()
	store := parityStore(t, leg.OSFS(dir), volume.DurabilitySync)
	stageImages(t, configured(t, openLeg(t, store), 1), 1, 2)
	require.NoError(t, store.Close())
	require.NoError(t, readOnlyLeg(t, openReadOnly(t, dir, "boot 1")).Problem)
	file, err := os.OpenFile(filepath.Join(dir, legPath("journal")), os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte{0xff}, volume.JournalHeadBytes+imageBytes+900)
	require.NoError(t, errors.Join(err, file.Close()))
	require.ErrorContains(t, readOnlyLeg(t, openReadOnly(t, dir, "boot 1")).Problem, "the journal is damaged")
}

// A commit is on the disk, and known to be, before home is written: one that rots then must not look like one that
// never was, or its deltas would be added to home once more.
func TestOpenLeg_rotOfACommit(t *testing.T) {
	const image = 2 * imageBytes // behind two deltas
	for name, at := range map[string]journal.Place{
		"delta": imageBytes + 8, "after-image": image + 8, "its payload": image + 3000,
		"commit": image + imageBytes + 8,
	} {
		fsys := newMemFS()
		s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilitySync)), 1)
		for n := range uint64(2) {
			require.NoError(t, s.Stage(t.Context(), record(1, n+1, volume.RecordDelta, 5, 1), blockOf(n+7)))
		}
		atHome := false
		var left *memFS
		fsys.setHook(func(op, path string) error {
			if atHome = atHome || op == "write" && path == legPath("checksums"); atHome && left == nil {
				left = fsys.afterCut(func(int) int { return 0 })
			}
			return nil
		})
		require.NoError(t, s.Commit(t.Context(), up(1, 2)))
		require.True(t, atHome, "the commit was on its way home")
		list, err := heldBy(t, left.afterKill(), "boot 2")
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.True(t, list[1].Committed)
		flipAt(left, at)
		list, err = heldBy(t, left, "boot 2")
		require.ErrorContains(t, err, "the journal is damaged", "%s: it lists %v", name, list)
	}
}

// So it is for a commit that a start writes home, of a process that did not come to that.
func TestOpenLeg_rotOfACommitThatAStartTakesHome(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilitySync)), 1)
	require.NoError(t, s.Stage(t.Context(), record(1, 1, volume.RecordDelta, 5, 1), blockOf(7)))
	var sealed *memFS // the commit is in the file, and nothing says that it is durable
	fsys.setHook(func(op, path string) error {
		if op == "sync" && path == legPath("journal") && sealed == nil {
			sealed = fsys.afterKill()
		}
		return nil
	})
	require.NoError(t, s.Commit(t.Context(), up(1, 1)))
	var left *memFS
	sealed.setHook(func(op, path string) error {
		if op == "write" && path == legPath("checksums") && left == nil {
			left = sealed.afterCut(func(int) int { return 0 })
		}
		return nil
	})
	list, err := heldBy(t, sealed, "boot 1")
	require.NoError(t, err)
	require.True(t, list[0].Committed)
	flipAt(left, 2*imageBytes+8)
	list, err = heldBy(t, left, "boot 2")
	require.ErrorContains(t, err, "the journal is damaged", "it lists %v", list)
}

// Of writes that were under way together the power cut may leave any: a later one that is whole says nothing of an
// earlier one that is torn, and the leg is a good one.
func TestOpenLeg_tornTailIsNoRot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := newMemFS()
		l := openLeg(t, parityStore(t, fsys, volume.DurabilitySync))
		s := configured(t, l, 1)
		stageImages(t, s, 1, 2)
		gate := make(chan struct{})
		fsys.setHook(func(op, path string) error {
			if op == "sync" && path == legPath("journal") {
				<-gate
			}
			return nil
		})
		answers := make(chan error, 4)
		for n := uint64(3); n <= 6; n++ { // the first of them syncs, the others wait to
			go func() { answers <- s.Stage(t.Context(), record(1, n, volume.RecordImage, int64(n), 1), blockOf(n)) }()
			synctest.Wait()
		}
		require.Empty(t, answers, "none was answered")
		perRecord := imageBytes / journal.SectorBytes
		for torn := range 4 {
			for sector := range perRecord {
				i := 0
				left := fsys.afterCut(func(n int) int {
					if i++; i-1 == torn*perRecord+sector {
						return 0
					}
					return n - 1
				})
				list, err := heldBy(t, left, "boot 2")
				require.NoError(t, err, "record %d lacks sector %d", torn+3, sector)
				require.Len(t, list, 2+torn)
			}
		}
		close(gate)
		for range 4 {
			require.NoError(t, <-answers)
		}
	})
}

// A journal of version 1 says of no entry that it was durable. It is read, and goes on as one of this version.
func TestOpenLeg_journalOfVersion1(t *testing.T) {
	fsys := newMemFS()
	store := parityStore(t, fsys, volume.DurabilitySync)
	stageImages(t, configured(t, openLeg(t, store), 1), 1, 3)
	old := fsys.afterCut(func(int) int { return 0 })
	file := old.find(legPath("journal"))
	file.own()
	for _, slot := range [][]byte{file.data[:512], file.data[4096:][:512]} {
		binary.BigEndian.PutUint16(slot[8:], 1)
		clear(slot[104:508])
		binary.BigEndian.PutUint32(slot[508:], crc32.Checksum(slot[:508], crc32.MakeTable(crc32.Castagnoli)))
	}
	for e := range 3 { // entries of version 1 have no such mark
		head := file.data[8192+e*imageBytes:][:512]
		parsed, err := journal.ParseEntry(head, paritySpec().Leg)
		require.NoError(t, err)
		parsed.Durable = 0
		copy(head, journal.AppendEntry(nil, paritySpec().Leg, &parsed))
	}
	copy(file.durableData, file.data)
	list, err := heldBy(t, old, "boot 2")
	require.NoError(t, err)
	require.Len(t, list, 3)
	versions := func() []uint16 {
		data := old.find(legPath("journal")).data
		return []uint16{binary.BigEndian.Uint16(data[8:]), binary.BigEndian.Uint16(data[4096+8:])}
	}
	require.Equal(t, []uint16{2, 2}, versions(), "the head of the start, and the one of the end")
	flipAt(old, 2*imageBytes+20)
	_, err = heldBy(t, old, "boot 2")
	require.ErrorContains(t, err, "the journal is damaged")
}

// A leg whose journal cannot be synced at its end has lost what was answered, and does not come back.
func TestClose_journalThatCannotBeSynced(t *testing.T) {
	fsys := newMemFS()
	store := parityStore(t, fsys, volume.DurabilityFlush)
	stageImages(t, configured(t, openLeg(t, store), 1), 1, 1)
	fsys.setHook(func(op, path string) error {
		if op == "sync" && path == legPath("journal") {
			return io.ErrUnexpectedEOF
		}
		return nil
	})
	require.ErrorIs(t, store.Close(), io.ErrUnexpectedEOF)
	fsys.setHook(nil)
	require.Error(t, openLeg(t, openStore(t, fsys, "boot 1")).Status().Failed)
}

// entriesOf returns the entries that the journal of a leg holds, by what stands in its file.
func entriesOf(t *testing.T, f *memFS) []journal.Entry {
	t.Helper()
	data := f.find(legPath("journal")).data
	var head journal.HeadSlot
	for _, at := range []int{0, 4096} {
		if s, err := journal.ParseHead(data[at:]); err == nil && s.Sequence > head.Sequence {
			head = s
		}
	}
	ring := data[volume.JournalHeadBytes:]
	var list []journal.Entry
	for p := head.Start; ; {
		at := int(uint64(p) % uint64(len(ring)))
		e, err := journal.ParseEntry(append(append([]byte(nil), ring[at:]...), ring[:at]...), paritySpec().Leg)
		if err != nil || e.Place != p {
			return list
		}
		list = append(list, e)
		p = e.End()
	}
}

// TestJournal_rotAtAnyTime runs the life of a leg of parity in class sync. Before each change and each sync of the file
// system the power fails, and one sector that is in use in the journal rots. The leg has failed then, or it holds all
// that was promised, but for the record or roll-back that was answered last: nothing came after that could tell.
func TestJournal_rotAtAnyTime(t *testing.T) {
	r := newJournalRun(t, volume.DurabilitySync, 0, 0)
	rng := rand.New(rand.NewPCG(8, 15))
	noticed, looked := 0, 0
	r.fsys.setHook(func(op, path string) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for range 6 {
			if op == "read" || r.wrong != nil {
				break
			}
			all := rng.IntN(2)
			state := r.fsys.afterCut(func(n int) int { return (n - 1) * all })
			list := entriesOf(t, state)
			if len(list) == 0 {
				continue
			}
			e := list[rng.IntN(len(list))]
			at := e.Place + journal.Place(rng.Int64N(e.Bytes()))
			if at < e.Payload(0) && rng.IntN(2) == 0 {
				at = e.Place + journal.Place(rng.IntN(84)) // where it says something
			}
			flipAt(state, at)
			looked++
			seen, err := r.lastMayBeLost().judgeRotten(r, state)
			if err != nil {
				r.wrong = fmt.Errorf("%s of %s, kind %d at %d rotted at %d: %w", op, path, e.Kind, e.Place, at, err)
			}
			if seen {
				noticed++
			}
		}
		return nil
	})
	r.life()
	require.NoError(t, r.violation())
	require.Greater(t, noticed, looked/3)
	t.Logf("rot was noticed %d times of %d", noticed, looked)
}

// lastMayBeLost returns what was promised without what was answered last.
func (r *journalRun) lastMayBeLost() *journalOracle {
	o := r.o
	o.records = nil
	for _, rec := range r.o.records {
		c := *rec
		for _, last := range r.last {
			if last == rec {
				if !rec.back { // it was staged; that it is gone says nothing of a roll-back that is under way
					c.backing = 0
				}
				c.answered, c.flushed, c.back = false, false, false
			}
		}
		o.records = append(o.records, &c)
	}
	return &o
}

// judgeRotten starts the leg on a disk that rotted, and holds what it lists and its blocks against what was promised.
// noticed says that it has failed.
func (o *journalOracle) judgeRotten(r *journalRun, state *memFS) (noticed bool, err error) {
	store, err := leg.OpenStore(state, leg.StoreOptions{BootID: "boot 2", Instance: 8})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	l, err := store.OpenLeg(r.spec.Leg)
	if err != nil {
		l, err = store.OpenLeg(r.spec.Leg)
		return true, errors.Join(err, errorUnless(l != nil && l.Status().Failed != nil, "the leg has not failed"))
	}
	s, err := l.Login(r.t.Context(), leg.Login{Epoch: r.epoch + 1, Attach: attach(byte(r.epoch + 1))}, func(string) {})
	if err != nil {
		return false, err
	}
	report, err := s.Report()
	if err != nil {
		return false, err
	}
	if err := s.Config(r.t.Context(), r.epoch+1, config(volume.CfgVer(r.epoch+1))); err != nil {
		return false, err
	}
	have, _, err := s.Records(r.t.Context(), 0, 100)
	if err != nil {
		return false, err
	}
	content, err := o.judge(have, false, report.Lossy)
	if err != nil {
		return false, err
	}
	_, err = r.recover(s, content, false, r.epoch+1)
	return false, err
}

func errorUnless(ok bool, text string) error {
	if ok {
		return nil
	}
	return errors.New(text)
}
