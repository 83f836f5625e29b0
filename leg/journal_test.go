package leg_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// parityStore makes a store with one leg of parity in it.
func parityStore(t *testing.T, fsys leg.FS, durability volume.Durability) *leg.Store {
	t.Helper()
	require.NoError(t, leg.InitStore(fsys, testStore, testNode))
	s := openStore(t, fsys, "boot 1")
	spec := paritySpec()
	spec.Durability = durability
	require.NoError(t, s.Provision(spec))
	return s
}

func record(epoch volume.Epoch, number uint64, kind volume.RecordKind, first, blocks int64) volume.Record {
	return volume.Record{Transaction: volume.Transaction{Epoch: epoch, Number: number}, Kind: kind,
		FirstBlock: first, Blocks: blocks, Legs: parityLegs()}
}

func up(epoch volume.Epoch, number uint64) volume.Transaction {
	return volume.Transaction{Epoch: epoch, Number: number}
}

func requireBlock(t *testing.T, s *leg.Session, n int64, value uint64) {
	t.Helper()
	p := make([]byte, 4096)
	require.NoError(t, s.Read(t.Context(), p, n*4096))
	require.Equal(t, blockOf(value), p, "block %d", n)
	sums, bad, err := s.Checksums(t.Context(), block.Range{Off: n * 4096, Len: 4096}, true)
	require.NoError(t, err)
	require.Empty(t, bad)
	require.Equal(t, inband.Checksum(p), sums[0])
}

// A record counts at once: reads and checksums are of the content. A commit takes it home, a FREE forgets it.
func TestStage_commitFree(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilityFlush)), 1)
	ctx := t.Context()
	home := func(n int64) uint64 {
		data, err := fsys.OpenData(legPath("data"), 512)
		require.NoError(t, err)
		p := make([]byte, 4096)
		require.NoError(t, data.Read(ctx, p, n*4096))
		v, err := valueOf(p)
		require.NoError(t, err)
		return v
	}
	require.NoError(t, s.Write(ctx, blockOf(1), 0, 0))
	require.NoError(t, s.Stage(ctx, record(1, 1, volume.RecordDelta, 0, 1), blockOf(6)))
	require.NoError(t, s.Stage(ctx, record(1, 2, volume.RecordImage, 1, 2), append(blockOf(7), blockOf(8)...)))
	require.NoError(t, s.Stage(ctx, record(1, 3, volume.RecordDelta, 1, 1), blockOf(16)))
	requireBlock(t, s, 0, 1^6)
	requireBlock(t, s, 1, 7^16)
	requireBlock(t, s, 2, 8)
	require.Equal(t, []uint64{1, 0, 0}, []uint64{home(0), home(1), home(2)})

	require.ErrorIs(t, s.Free(ctx, up(1, 2)), leg.ErrInvalid, "nothing is committed")
	require.NoError(t, s.Commit(ctx, up(1, 2)))
	require.Equal(t, []uint64{1 ^ 6, 7, 8}, []uint64{home(0), home(1), home(2)})
	requireBlock(t, s, 1, 7^16)
	have, _, err := s.Records(ctx, 0, 9)
	require.NoError(t, err)
	require.Equal(t, []bool{true, true, false}, []bool{have.Records[0].Committed, have.Records[1].Committed,
		have.Records[2].Committed})
	require.Equal(t, parityLegs(), have.Records[0].Legs)
	require.ErrorIs(t, s.Free(ctx, up(1, 3)), leg.ErrInvalid, "the third is staged only")
	require.ErrorIs(t, s.Stage(ctx, record(1, 2, volume.RecordDelta, 9, 1), blockOf(1)), leg.ErrInvalid, "too late")
	require.NoError(t, s.Commit(ctx, up(1, 1)), "below what is committed")
	require.NoError(t, s.Free(ctx, up(1, 2)))
	have, _, err = s.Records(ctx, 0, 9)
	require.NoError(t, err)
	require.Len(t, have.Records, 1)
	require.NoError(t, s.Rollback(ctx, []volume.Transaction{up(1, 3), up(1, 9)}))
	requireBlock(t, s, 1, 7)
	have, _, err = s.Records(ctx, 0, 9)
	require.NoError(t, err)
	require.Empty(t, have.Records)
}

func TestRecords_inPages(t *testing.T) {
	s := configured(t, openLeg(t, parityStore(t, newMemFS(), volume.DurabilityFlush)), 1)
	for n := range uint64(5) {
		require.NoError(t, s.Stage(t.Context(), record(1, n+1, volume.RecordImage, int64(n), 1), blockOf(n)))
	}
	var numbers []uint64
	for from, pages := uint64(0), 0; ; pages++ {
		page, next, err := s.Records(t.Context(), from, 2)
		require.NoError(t, err)
		for _, r := range page.Records {
			numbers = append(numbers, r.Transaction.Number)
		}
		if from = next; next == 0 {
			require.Equal(t, 2, pages)
			break
		}
	}
	require.Equal(t, []uint64{1, 2, 3, 4, 5}, numbers)
}

// What an engine must not ask for is refused, and changes nothing.
func TestStage_refusals(t *testing.T) {
	l := openLeg(t, parityStore(t, newMemFS(), volume.DurabilityFlush))
	s := login(t, l, 2)
	require.ErrorIs(t, s.Stage(t.Context(), record(2, 1, volume.RecordImage, 0, 1), blockOf(1)), leg.ErrNotAdmitted)
	require.ErrorIs(t, s.Commit(t.Context(), up(2, 1)), leg.ErrNotAdmitted)
	require.NoError(t, s.Config(t.Context(), 2, config(2)))
	require.NoError(t, s.Stage(t.Context(), record(2, 1, volume.RecordImage, 0, 1), blockOf(1)))
	s = login(t, l, 2)
	require.NoError(t, s.Config(t.Context(), 2, config(2)))
	require.NoError(t, s.Stage(t.Context(), record(2, 1, volume.RecordImage, 0, 1), blockOf(1)), "sent once more")
	has, _, err := s.Records(t.Context(), 0, 9)
	require.NoError(t, err)
	require.Len(t, has.Records, 1)
	mine := record(2, 2, volume.RecordImage, 0, 1)
	for name, change := range map[string]func(*volume.Record){
		"twice":           func(r *volume.Record) { r.Transaction.Number = 1 },
		"of another":      func(r *volume.Record) { r.Transaction.Epoch = 1 },
		"kind":            func(r *volume.Record) { r.Kind = 7 },
		"payload":         func(r *volume.Record) { r.Blocks = 2 },
		"not of this leg": func(r *volume.Record) { r.Legs = r.Legs[:1] },
	} {
		r := mine
		change(&r)
		require.ErrorIs(t, s.Stage(t.Context(), r, blockOf(2)), leg.ErrInvalid, name)
	}
	outside := record(2, 2, volume.RecordImage, l.Label().LegBytes()/4096, 1)
	require.ErrorIs(t, s.Stage(t.Context(), outside, blockOf(2)), block.ErrOutOfRange)
	for name, do := range map[string]func(volume.Transaction) error{
		"commit": func(t3 volume.Transaction) error { return s.Commit(t.Context(), t3) },
		"free":   func(t3 volume.Transaction) error { return s.Free(t.Context(), t3) },
		"drop":   func(t3 volume.Transaction) error { return s.Drop(t.Context(), t3) },
		"roll back": func(t3 volume.Transaction) error {
			return s.Rollback(t.Context(), []volume.Transaction{t3})
		},
	} {
		require.ErrorIs(t, do(up(3, 1)), leg.ErrInvalid, name)
	}
	require.ErrorIs(t, s.Drop(t.Context(), up(1, 9)), leg.ErrInvalid, "there is a record beyond")
	require.NoError(t, s.Commit(t.Context(), up(2, 1)))
	require.ErrorIs(t, s.Rollback(t.Context(), []volume.Transaction{up(2, 1)}), leg.ErrInvalid, "it is committed")
	requireBlock(t, s, 0, 1)

	next := configured(t, l, 3)
	require.ErrorIs(t, s.Stage(t.Context(), mine, blockOf(2)), block.ErrFenced)
	require.ErrorIs(t, s.Commit(t.Context(), up(2, 2)), block.ErrFenced)
	require.NoError(t, next.Free(t.Context(), up(2, 1)))
}

// A record that is sent once more, beside a first that is still on its way, is answered when that one counts.
func TestStage_onceMoreBesideTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := newMemFS()
		l := openLeg(t, parityStore(t, fsys, volume.DurabilityFlush))
		s := configured(t, l, 1)
		other, err := l.Login(t.Context(), leg.Login{Epoch: 1, Attach: attach(1), ISID: leg.ISID{9}}, func(string) {})
		require.NoError(t, err)
		gate := make(chan struct{})
		fsys.setHook(func(op, path string) error {
			if op == "write" && path == legPath("journal") {
				<-gate
			}
			return nil
		})
		answers := make(chan error, 2)
		for _, s := range []*leg.Session{s, other} {
			go func() { answers <- s.Stage(t.Context(), record(1, 1, volume.RecordImage, 0, 1), blockOf(1)) }()
			synctest.Wait()
		}
		require.Empty(t, answers, "nothing is in the journal yet")
		close(gate)
		require.NoError(t, errors.Join(<-answers, <-answers))
		requireBlock(t, other, 0, 1)
	})
}

// A mirror's leg has no journal, in no way.
func TestStage_mirrorHasNone(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, newStore(t, fsys)), 1)
	require.ErrorIs(t, s.Stage(t.Context(), record(1, 1, volume.RecordImage, 0, 1), blockOf(1)), block.ErrUnsupported)
	require.ErrorIs(t, s.Drop(t.Context(), up(1, 1)), block.ErrUnsupported)
	_, _, err := s.Records(t.Context(), 0, 9)
	require.ErrorIs(t, err, block.ErrUnsupported)
	names, err := fsys.ReadDir("legs/" + testSpec().Leg.String())
	require.NoError(t, err)
	require.Equal(t, []string{"checksums", "data", "label", "regions"}, names)
}

// Around the journal only what has no record may be written, until it is freed.
func TestWrite_aroundTheJournal(t *testing.T) {
	s := configured(t, openLeg(t, parityStore(t, newMemFS(), volume.DurabilityFlush)), 1)
	ctx := t.Context()
	require.NoError(t, s.Stage(ctx, record(1, 1, volume.RecordImage, 3, 2), append(blockOf(5), blockOf(6)...)))
	three := append(append(blockOf(1), blockOf(2)...), blockOf(3)...)
	refused := func() {
		require.ErrorIs(t, s.Write(ctx, three, 2*4096, 0), leg.ErrInvalid)
		require.ErrorIs(t, s.Zero(ctx, block.Range{Len: 1 << 20}, 0), leg.ErrInvalid)
		require.ErrorIs(t, s.Write(ctx, blockOf(9), 4*4096, 0), leg.ErrInvalid)
		requireBlock(t, s, 3, 5)
		requireBlock(t, s, 4, 6)
	}
	refused()
	require.NoError(t, s.Write(ctx, three, 5*4096, 0))
	require.NoError(t, s.Commit(ctx, up(1, 1)))
	refused()
	require.ErrorIs(t, s.Adopt(ctx, block.Range{Len: 4096}), leg.ErrInvalid)
	require.NoError(t, s.Free(ctx, up(1, 1)))
	require.NoError(t, s.Write(ctx, three, 2*4096, 0))
	requireBlock(t, s, 4, 3)
}

// What was copied to home is durable after a FLUSH, and after a FREE, also one that forgets nothing.
func TestFree_syncsWhatWasWrittenDirectly(t *testing.T) {
	for name, sync := range map[string]func(*leg.Session) error{
		"flush": func(s *leg.Session) error { return s.Flush(t.Context()) },
		"free":  func(s *leg.Session) error { return s.Free(t.Context(), up(1, 2)) },
	} {
		fsys := newMemFS()
		s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilityFlush)), 1)
		require.NoError(t, s.Commit(t.Context(), up(1, 2)))
		require.NoError(t, s.Free(t.Context(), up(1, 2)))
		require.NoError(t, s.Write(t.Context(), blockOf(8), 4096, 0))
		require.NoError(t, sync(s))
		after := fsys.afterCut(func(int) int { return 0 })
		s = configured(t, openLeg(t, openStore(t, after, "boot 2")), 2)
		p := make([]byte, 4096)
		require.NoError(t, s.Read(t.Context(), p, 4096), name)
		require.Equal(t, blockOf(8), p, name)
	}
}

// A flush takes home what was written around the journal, also by a process before.
func TestFlush_takesHomeWhatAKilledProcessWrote(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilityFlush)), 1)
	require.NoError(t, s.Write(t.Context(), blockOf(3), 4096, 0))
	fsys = fsys.afterKill()
	s = configured(t, openLeg(t, openStore(t, fsys, "boot 1")), 2)
	require.NoError(t, s.Flush(t.Context()))
	fsys = fsys.afterCut(func(int) int { return 0 })
	requireBlock(t, configured(t, openLeg(t, openStore(t, fsys, "boot 2")), 3), 1, 3)
}

// A journal without room refuses a record and nothing else; a round makes room, again and again.
func TestStage_full(t *testing.T) {
	s := configured(t, openLeg(t, parityStore(t, newMemFS(), volume.DurabilityFlush)), 1)
	ctx, n, content := t.Context(), uint64(0), uint64(0)
	for range 4 {
		first := n
		for {
			n++
			err := s.Stage(ctx, record(1, n, volume.RecordDelta, 0, 1), blockOf(n*n))
			if err != nil {
				require.ErrorIs(t, err, block.ErrNoSpace)
				break
			}
			content ^= n * n
		}
		require.Greater(t, n, first+4)
		requireBlock(t, s, 0, content)
		require.NoError(t, s.Flush(ctx))
		require.NoError(t, s.Commit(ctx, up(1, n)))
		require.NoError(t, s.Free(ctx, up(1, n)))
		requireBlock(t, s, 0, content)
	}
}

// A block that cannot be read takes no delta: it stays bad for good, whatever the medium says later, until it is
// written anew. An image needs nothing of it.
func TestCommit_deltaOverABadBlock(t *testing.T) {
	fsys := newMemFS()
	store := parityStore(t, fsys, volume.DurabilityFlush)
	s := configured(t, openLeg(t, store), 1)
	ctx := t.Context()
	for n := range int64(3) {
		require.NoError(t, s.Write(ctx, blockOf(uint64(n)+1), n*4096, 0))
	}
	require.NoError(t, s.Flush(ctx))
	for n := range int64(3) {
		fsys.flip(legPath("data"), n*4096+7, 3)
	}
	bad := func() {
		require.ErrorIs(t, s.Read(ctx, make([]byte, 4096), 0), block.ErrMedium)
		_, list, err := s.Checksums(ctx, block.Range{Len: 4 * 4096}, false)
		require.NoError(t, err)
		require.Equal(t, []uint32{0}, list)
		requireBlock(t, s, 1, 7)
		requireBlock(t, s, 2, 9^12)
	}
	require.NoError(t, s.Stage(ctx, record(1, 1, volume.RecordDelta, 0, 3),
		bytes.Join([][]byte{blockOf(4), blockOf(5), blockOf(6)}, nil)))
	require.NoError(t, s.Stage(ctx, record(1, 2, volume.RecordImage, 1, 2), append(blockOf(7), blockOf(9)...)))
	require.NoError(t, s.Stage(ctx, record(1, 3, volume.RecordDelta, 2, 1), blockOf(12)))
	bad()
	require.NoError(t, s.Commit(ctx, up(1, 3)))
	bad()
	for n := range int64(3) {
		fsys.flip(legPath("data"), n*4096+7, 3) // the medium reads as before: that would be without the delta
	}
	require.ErrorIs(t, s.Read(ctx, make([]byte, 4096), 0), block.ErrMedium)
	require.NoError(t, store.Close())
	store = openStore(t, fsys, "boot 2")
	s = configured(t, openLeg(t, store), 2)
	bad()
	require.NoError(t, s.Stage(ctx, record(2, 1, volume.RecordImage, 0, 1), blockOf(20)))
	requireBlock(t, s, 0, 20)
	require.NoError(t, s.Commit(ctx, up(2, 1)))
	require.NoError(t, s.Free(ctx, up(2, 1)))
	requireBlock(t, s, 0, 20)
}

// STABLE keeps marks of records that are not freed, so that a drop of them leaves something to copy by.
func TestStable_keepsTheMarksOfRecords(t *testing.T) {
	s := configured(t, openLeg(t, parityStore(t, newMemFS(), volume.DurabilityFlush)), 1)
	ctx := t.Context()
	require.NoError(t, s.Write(ctx, blockOf(1), 0, 0))
	require.NoError(t, s.Stage(ctx, record(1, 1, volume.RecordImage, 256, 1), blockOf(2)))
	marked := func() (list []uint32) {
		page, err := s.Marks(1<<40, 0)
		require.NoError(t, err)
		for _, run := range page.Runs {
			for i := range run.Count {
				list = append(list, run.First+i)
			}
		}
		return list
	}
	require.Equal(t, []uint32{0, 1}, marked())
	stable(t, s)
	require.Equal(t, []uint32{1}, marked())
	require.ErrorIs(t, s.Detach(ctx, true), leg.ErrInvalid)
	require.NoError(t, s.Commit(ctx, up(1, 1)))
	stable(t, s)
	require.Equal(t, []uint32{1}, marked())
	require.NoError(t, s.Free(ctx, up(1, 1)))
	stable(t, s)
	require.Empty(t, marked())
	require.NoError(t, s.Detach(ctx, true))
}

// A store without room says so when the record is staged: once it is answered nobody could tell the guest.
func TestStage_homeWithoutRoom(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, parityStore(t, fsys, volume.DurabilityFlush))
	s := configured(t, l, 1)
	ctx := t.Context()
	require.NoError(t, s.Stage(ctx, record(1, 1, volume.RecordImage, 8, 1), blockOf(4)))
	require.NoError(t, s.Commit(ctx, up(1, 1)))
	fsys.setHook(func(op, p string) error {
		if op == "reserve" && p == legPath("data") {
			return block.ErrNoSpace
		}
		return nil
	})
	require.NoError(t, s.Stage(ctx, record(1, 2, volume.RecordDelta, 8, 1), blockOf(3)), "it has its space")
	require.ErrorIs(t, s.Stage(ctx, record(1, 3, volume.RecordDelta, 8, 2), append(blockOf(1), blockOf(1)...)),
		block.ErrNoSpace)
	requireBlock(t, s, 8, 4^3)
	requireBlock(t, s, 9, 0)
	require.NoError(t, l.Status().Failed, "a full store is no failed disk")
	fsys.setHook(nil)
	require.NoError(t, s.Stage(ctx, record(1, 4, volume.RecordDelta, 9, 1), blockOf(1)))
	requireBlock(t, s, 9, 1)
}

// unreadableJournal is a file system that cannot read the ring of a journal.
type unreadableJournal struct{ *memFS }

func (f unreadableJournal) Open(path string) (leg.File, error) {
	file, err := f.open(path)
	if err == nil && path == legPath("journal") {
		return unreadableRing{file}, nil
	}
	return file, err
}

type unreadableRing struct{ *memFile }

func (f unreadableRing) ReadAt(p []byte, off int64) (int, error) {
	if off >= volume.JournalHeadBytes && off < volume.JournalHeadBytes+1<<12 {
		return 0, io.ErrUnexpectedEOF
	}
	return f.memFile.ReadAt(p, off)
}

// A journal that cannot be read at a start fails the leg for good, so that it is replaced.
func TestOpenLeg_unreadableJournal(t *testing.T) {
	fsys := newMemFS()
	store := parityStore(t, fsys, volume.DurabilityFlush)
	configured(t, openLeg(t, store), 1)
	require.NoError(t, store.Close())
	store = openStore(t, unreadableJournal{fsys}, "boot 1")
	_, err := store.OpenLeg(paritySpec().Leg)
	require.ErrorIs(t, err, block.ErrFailed)
	require.ErrorContains(t, openLeg(t, store).Status().Failed, "read the journal")
}

// TestOpenLeg_journalDamage: what is lost, what has failed, and what is only refused.
func TestOpenLeg_journalDamage(t *testing.T) {
	head := func(change func(*journal.HeadSlot)) func(*memFS, *testing.T) {
		return func(fsys *memFS, t *testing.T) {
			file, err := fsys.open(legPath("journal"))
			require.NoError(t, err)
			p := make([]byte, journal.SectorBytes)
			_, err = file.ReadAt(p, 0)
			require.NoError(t, err)
			slot, err := journal.ParseHead(p)
			require.NoError(t, err)
			change(&slot)
			_, err = file.WriteAt(journal.AppendHead(nil, slot), 0)
			require.NoError(t, err)
		}
	}
	flip := func(off int64) func(*memFS, *testing.T) {
		return func(fsys *memFS, _ *testing.T) { fsys.flip(legPath("journal"), off, 2) }
	}
	for name, c := range map[string]struct {
		damage func(*memFS, *testing.T)
		lost   string
		failed string
		is     error
	}{
		"missing": {damage: func(f *memFS, t *testing.T) { require.NoError(t, f.RemoveAll(legPath("journal"))) },
			lost: "its journal is missing"},
		"cut short": {damage: func(f *memFS, _ *testing.T) {
			n := f.find(legPath("journal"))
			n.own()
			n.data = n.data[:len(n.data)-1]
		}, lost: "cut short"},
		"both slots": {damage: func(f *memFS, t *testing.T) {
			flip(50)(f, t)
			flip(4096+50)(f, t)
		}, lost: "both slots"},
		"one slot":   {damage: flip(50), failed: "corrupt"},
		"other slot": {damage: flip(4096 + 50), failed: "corrupt"},
		"entry":      {damage: flip(8192 + 30), failed: "it was whole up to place"},
		"payload":    {damage: flip(8192 + 600), failed: "does not match its checksum"},
		"other leg": {damage: head(func(s *journal.HeadSlot) { s.Leg.UUID[3]++; s.Sequence += 9 }),
			is: leg.ErrMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := newMemFS()
			store := parityStore(t, fsys, volume.DurabilityFlush)
			s := configured(t, openLeg(t, store), 1)
			require.NoError(t, s.Stage(t.Context(), record(1, 1, volume.RecordImage, 0, 1), blockOf(3)))
			require.NoError(t, store.Close())
			store = openStore(t, fsys, "boot 1")
			openLeg(t, store) // durable, and cut behind it
			require.NoError(t, store.Close())
			c.damage(fsys, t)
			store = openStore(t, fsys, "boot 1")
			_, err := store.OpenLeg(paritySpec().Leg)
			switch lost := (*leg.LostError)(nil); {
			case c.lost != "":
				require.ErrorAs(t, err, &lost)
				require.ErrorContains(t, err, c.lost)
			case c.is != nil:
				require.ErrorIs(t, err, c.is)
				require.False(t, errors.As(err, &lost))
			default:
				require.ErrorContains(t, err, c.failed)
				l := openLeg(t, store) // as one that has failed
				require.ErrorContains(t, l.Status().Failed, c.failed)
				_, err := l.Login(t.Context(), leg.Login{Epoch: 9, Attach: attach(9)}, func(string) {})
				require.ErrorContains(t, err, "failed")
			}
			require.NoError(t, store.Close())
		})
	}
}

// A journal that cannot be written or synced fails the leg for good.
func TestStage_failedDisk(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		fsys := newMemFS()
		store := parityStore(t, fsys, volume.DurabilitySync)
		l := openLeg(t, store)
		s := configured(t, l, 1)
		require.NoError(t, s.Stage(t.Context(), record(1, 1, volume.RecordImage, 0, 1), blockOf(3)))
		fsys.setHook(func(what, path string) error {
			if what == op && path == legPath("journal") {
				return io.ErrUnexpectedEOF
			}
			return nil
		})
		require.ErrorIs(t, s.Stage(t.Context(), record(1, 2, volume.RecordImage, 0, 1), blockOf(4)), block.ErrFailed)
		fsys.setHook(nil)
		require.ErrorIs(t, s.Stage(t.Context(), record(1, 3, volume.RecordImage, 0, 1), blockOf(5)), block.ErrFailed)
		require.Error(t, l.Status().Failed, op)
		require.NoError(t, store.Close())
		store = openStore(t, fsys, "boot 2")
		require.Error(t, openLeg(t, store).Status().Failed, "it is remembered")
	}
}

// The kernel tells one caller that a sync failed. A flush beside it must not take the next one, which succeeds, for an
// answer.
func TestFlush_besideASyncThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := newMemFS()
		s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilityFlush)), 1)
		require.NoError(t, s.Stage(t.Context(), record(1, 1, volume.RecordImage, 0, 1), blockOf(3)))
		require.NoError(t, s.Commit(t.Context(), up(1, 1)))
		require.NoError(t, s.Stage(t.Context(), record(1, 2, volume.RecordImage, 1, 1), blockOf(4)))
		gate := make(chan struct{})
		var told atomic.Bool
		fsys.setHook(func(op, path string) error {
			if op == "sync" && path == legPath("journal") && !told.Swap(true) {
				<-gate
				return io.ErrUnexpectedEOF
			}
			return nil
		})
		free, flush := make(chan error, 1), make(chan error, 1)
		go func() { free <- s.Free(t.Context(), up(1, 1)) }()
		synctest.Wait()
		go func() { flush <- s.Flush(t.Context()) }()
		synctest.Wait()
		require.Empty(t, flush)
		close(gate)
		require.ErrorIs(t, <-free, block.ErrFailed)
		require.ErrorIs(t, <-flush, block.ErrFailed)
	})
}

func TestReadOnly_showsAParityLegThatIsFreed(t *testing.T) {
	dir := t.TempDir()
	node := parityStore(t, leg.OSFS(dir), volume.DurabilityFlush)
	s := configured(t, openLeg(t, node), 1)
	require.NoError(t, s.Stage(t.Context(), record(1, 1, volume.RecordImage, 0, 1), blockOf(3)))
	require.NoError(t, s.Commit(t.Context(), up(1, 1)))
	require.NoError(t, s.Free(t.Context(), up(1, 1)))
	require.NoError(t, node.Close())
	l := readOnlyLeg(t, openReadOnly(t, dir, "boot 1"))
	require.NoError(t, l.Problem)
	seen := 0
	require.NoError(t, l.Blocks(t.Context(), block.Range{Len: 8192}, func(b leg.ReadOnlyBlock) error {
		require.Equal(t, blockOf(3), b.Content)
		seen++
		return nil
	}))
	require.Equal(t, 1, seen)
}

// TestStage_underContention: many stage, read and run rounds at once; each block is one that somebody made whole.
func TestStage_underContention(t *testing.T) {
	spec := paritySpec()
	spec.SizeBytes = 256 << 20 // its journal has room for all of them
	fsys := leg.OSFS(t.TempDir())
	require.NoError(t, leg.InitStore(fsys, testStore, testNode))
	store := openStore(t, fsys, "boot 1")
	require.NoError(t, store.Provision(spec))
	l := openLeg(t, store)
	s := configured(t, l, 1)
	ctx := t.Context()
	const writers, rounds = 8, 150
	var number struct {
		sync.Mutex
		next    uint64
		pending map[uint64]bool
	}
	number.pending = map[uint64]bool{}
	take := func() uint64 {
		number.Lock()
		defer number.Unlock()
		number.next++
		number.pending[number.next] = true
		return number.next
	}
	give := func(n uint64) {
		number.Lock()
		defer number.Unlock()
		delete(number.pending, n)
	}
	watermark := func() uint64 {
		number.Lock()
		defer number.Unlock()
		for n := uint64(1); n <= number.next; n++ {
			if number.pending[n] {
				return n - 1
			}
		}
		return number.next
	}
	var all sync.WaitGroup
	failed := make(chan error, 4*writers)
	final := make([]uint64, writers)
	for w := range writers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 3))
			have, n := uint64(0), int64(w)
			for i := range rounds {
				kind, v := volume.RecordDelta, rng.Uint64()|1
				if rng.IntN(3) == 0 {
					kind = volume.RecordImage
				}
				number := take()
				err := s.Stage(ctx, record(1, number, kind, n, 1), blockOf(v))
				give(number)
				if kind == volume.RecordImage {
					have = v
				} else {
					have ^= v
				}
				p := make([]byte, 4096)
				if err == nil {
					err = s.Read(ctx, p, n*4096)
				}
				if got, torn := valueOf(p); err == nil && (torn != nil || got != have) {
					err = fmt.Errorf("block %d after round %d is %#x, want %#x (%w)", n, i, got, have, torn)
				}
				if err != nil {
					failed <- err
					return
				}
			}
			final[w] = have
		})
	}
	stop := make(chan struct{})
	var background sync.WaitGroup
	background.Go(func() {
		for {
			n := up(1, watermark())
			for _, do := range []func() error{
				func() error { return s.Flush(ctx) },
				func() error { return s.Commit(ctx, n) },
				func() error { return s.Free(ctx, n) },
				func() error { return s.Read(ctx, make([]byte, writers*4096), 0) },
			} {
				if err := do(); err != nil {
					failed <- err
					return
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	all.Wait()
	close(stop)
	background.Wait()
	select {
	case err := <-failed:
		require.NoError(t, err)
	default:
	}
	require.NoError(t, store.Close())
	store = openStore(t, fsys, "boot 1")
	s = configured(t, openLeg(t, store), 2)
	for w, v := range final {
		requireBlock(t, s, int64(w), v)
	}
	require.NoError(t, store.Close())
}

// A takeover does not wait for the medium under a FREE, and what that FREE was to forget is still there.
func TestFree_keepsNoLoginWaiting(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, parityStore(t, fsys, volume.DurabilityFlush))
	s := configured(t, l, 1)
	require.NoError(t, s.Stage(t.Context(), record(1, 1, volume.RecordImage, 3, 1), blockOf(5)))
	require.NoError(t, s.Commit(t.Context(), up(1, 1)))
	syncing, goOn := make(chan struct{}), make(chan struct{})
	fsys.setHook(func(op, path string) error {
		if op == "sync" && path == legPath("data") {
			close(syncing)
			<-goOn
		}
		return nil
	})
	freed := make(chan error, 1)
	go func() { freed <- s.Free(t.Context(), up(1, 1)) }()
	<-syncing
	next := configured(t, l, 2)
	close(goOn)
	require.ErrorIs(t, <-freed, block.ErrFenced)
	fsys.setHook(nil)
	have, _, err := next.Records(t.Context(), 0, 9)
	require.NoError(t, err)
	require.Len(t, have.Records, 1)
	require.NoError(t, next.Commit(t.Context(), up(2, 0)))
	require.NoError(t, next.Free(t.Context(), up(2, 0)))
	requireBlock(t, next, 3, 5)
}
