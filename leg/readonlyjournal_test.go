package leg_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// lookedAt is a leg of parity in a directory that is worked on, and then looked at without its node.
type lookedAt struct {
	t       *testing.T
	dir     string
	rng     *rand.Rand
	store   *leg.Store
	session *leg.Session
	number  uint64
	home    map[string][]byte // the files of home as they were when all that is freed was written
}

func newLookedAt(t *testing.T, seed uint64) *lookedAt {
	t.Helper()
	l := &lookedAt{t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 7)), home: map[string][]byte{}}
	l.store = parityStore(t, leg.OSFS(l.dir), volume.DurabilityFlush)
	l.session = configured(t, openLeg(t, l.store), 1)
	l.keepHome()
	return l
}

func (l *lookedAt) path(name string) string {
	return filepath.Join(l.dir, "legs", testSpec().Leg.String(), name)
}

func (l *lookedAt) keepHome() {
	l.t.Helper()
	for _, name := range []string{"data", "checksums"} {
		text, err := os.ReadFile(l.path(name))
		require.NoError(l.t, err)
		l.home[name] = text
	}
}

// setHomeBack is a node that died before it wrote home what was committed since the last FREE. Zeroes become holes.
func (l *lookedAt) setHomeBack() {
	l.t.Helper()
	for name, text := range l.home {
		file, err := os.OpenFile(l.path(name), os.O_WRONLY|os.O_TRUNC, 0)
		require.NoError(l.t, err)
		require.NoError(l.t, file.Truncate(int64(len(text))))
		for off := 0; off < len(text); off += 4096 {
			block := text[off:min(off+4096, len(text))]
			if bytes.Count(block, []byte{0}) < len(block) {
				_, err = file.WriteAt(block, int64(off))
				require.NoError(l.t, err)
			}
		}
		require.NoError(l.t, file.Close())
	}
}

// rot spoils a block at home.
func (l *lookedAt) rot(n int64) {
	l.t.Helper()
	file, err := os.OpenFile(l.path("data"), os.O_WRONLY, 0)
	require.NoError(l.t, err)
	_, err = file.WriteAt([]byte{0xee}, n*4096+77)
	require.NoError(l.t, errors.Join(err, file.Close()))
	l.home["data"][n*4096+77] = 0xee
}

// step does something that an engine does.
func (l *lookedAt) step() {
	l.t.Helper()
	ctx := l.t.Context()
	switch n := l.rng.IntN(12); {
	case n < 8:
		kind := volume.RecordDelta
		if l.rng.IntN(2) == 0 {
			kind = volume.RecordImage
		}
		l.number++
		blocks := 1 + l.rng.Int64N(2)
		var payload []byte
		for range blocks {
			payload = append(payload, blockOf(l.rng.Uint64())...)
		}
		err := l.session.Stage(ctx, record(1, l.number, kind, l.rng.Int64N(7), blocks), payload)
		if !errors.Is(err, block.ErrNoSpace) { // the journal of a small leg is small
			require.NoError(l.t, err)
		}
	case n < 9:
		require.NoError(l.t, l.session.Commit(ctx, up(1, l.number-l.rng.Uint64N(min(l.number, 3)+1))))
	case n < 10 && l.rng.IntN(3) == 0:
		require.NoError(l.t, l.session.Commit(ctx, up(1, l.number)))
		require.NoError(l.t, l.session.Free(ctx, up(1, l.number)))
		l.keepHome()
	case n < 11 && l.rng.IntN(2) == 0:
		l.rot(l.rng.Int64N(8))
	default:
		if list := l.staged(); len(list) > 0 {
			require.NoError(l.t, l.session.Rollback(ctx, list[:1+l.rng.IntN(len(list))]))
		}
	}
}

// staged returns what could be rolled back.
func (l *lookedAt) staged() []volume.Transaction {
	l.t.Helper()
	has, _, err := l.session.Records(l.t.Context(), 0, 1000)
	require.NoError(l.t, err)
	return stagedOf(has)
}

func stagedOf(has volume.Records) []volume.Transaction {
	var list []volume.Transaction
	for _, r := range has.Records {
		if !r.Committed {
			list = append(list, r.Transaction)
		}
	}
	return list
}

// shown returns what a look shows of the first blocks: nil for one that is not good.
func shown(t *testing.T, l *leg.ReadOnlyLeg) [][]byte {
	t.Helper()
	all := make([][]byte, 10)
	for i := range all {
		all[i] = make([]byte, 4096)
	}
	last := int64(-1)
	size := int64(len(all)) * volume.BlockBytes
	require.NoError(t, l.Blocks(t.Context(), block.Range{Len: size}, func(b leg.ReadOnlyBlock) error {
		require.Greater(t, b.Number, last, "in order, each once")
		last = b.Number
		if all[b.Number] = nil; b.State == leg.BlockGood {
			all[b.Number] = append([]byte{}, b.Content...)
		}
		return nil
	}))
	return all
}

// TestReadOnly_showsWhatAStartWouldServe holds a look, which writes nothing, against what the node serves after it:
// records, and every block, with what is taken back on both.
func TestReadOnly_showsWhatAStartWouldServe(t *testing.T) {
	overlaid, unreadable, redone := 0, 0, 0
	for seed := range uint64(40) {
		l := newLookedAt(t, seed)
		for range 5 + l.rng.IntN(40) {
			l.step()
		}
		require.NoError(t, l.store.Close())
		if l.rng.IntN(2) == 0 {
			l.setHomeBack()
			redone++
		}
		look, err := leg.OpenReadOnly(l.dir, "boot 1")
		require.NoError(t, err)
		seen, err := look.Leg(t.Context(), testSpec().Leg)
		require.NoError(t, err)
		require.NoError(t, seen.Problem)
		records := *seen.Records()
		require.NoError(t, seen.TakeBack(stagedOf(records)), "another try, which is forgotten")
		var back []volume.Transaction
		for _, tr := range stagedOf(records) {
			if l.rng.IntN(2) == 0 {
				back = append(back, tr)
			}
		}
		require.NoError(t, seen.TakeBack(back))
		have := shown(t, seen)
		require.NoError(t, seen.Close())
		require.NoError(t, look.Close())

		node := openStore(t, leg.OSFS(l.dir), "boot 1")
		s := configured(t, openLeg(t, node), 2)
		serves, _, err := s.Records(t.Context(), 0, 1000)
		require.NoError(t, err)
		require.Equal(t, serves, records, "seed %d", seed)
		require.NoError(t, s.Rollback(t.Context(), back))
		overlaid += len(serves.Records)
		for n, content := range have {
			p := make([]byte, 4096)
			err := s.Read(t.Context(), p, int64(n)*4096)
			if content == nil {
				require.ErrorIs(t, err, block.ErrMedium, "seed %d, block %d", seed, n)
				unreadable++
				continue
			}
			require.NoError(t, err, "seed %d, block %d", seed, n)
			require.Equal(t, p, content, "seed %d, block %d", seed, n)
		}
		require.NoError(t, node.Close())
	}
	require.NotZero(t, overlaid)
	require.NotZero(t, unreadable)
	require.NotZero(t, redone)
}

// Checksums are of home, which is not what a leg with a journal holds.
func TestReadOnly_parityHasNoSums(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, parityStore(t, leg.OSFS(dir), volume.DurabilityFlush).Close())
	l := readOnlyLeg(t, openReadOnly(t, dir, "boot 1"))
	require.ErrorIs(t, l.Sums(t.Context(), block.Range{Len: 4096}, make([]byte, 4)), errors.ErrUnsupported)
}

// A leg of a mirror has nothing to take back.
func TestReadOnly_mirrorHasNoRecords(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, newStore(t, leg.OSFS(dir)).Close())
	l := readOnlyLeg(t, openReadOnly(t, dir, "boot 1"))
	require.Nil(t, l.Records())
	require.NoError(t, l.TakeBack([]volume.Transaction{up(1, 1)}))
}

// A journal that cannot be believed is a leg that cannot be read.
func TestReadOnly_damagedJournal(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, parityStore(t, leg.OSFS(dir), volume.DurabilityFlush).Close())
	journal := filepath.Join(dir, "legs", testSpec().Leg.String(), "journal")
	file, err := os.OpenFile(journal, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte{0xff}, 4096+60)
	require.NoError(t, errors.Join(err, file.Close()))
	l := readOnlyLeg(t, openReadOnly(t, dir, "boot 1"))
	require.ErrorContains(t, l.Problem, "journal's head is corrupt")
	require.False(t, l.Readable())
	require.Nil(t, l.Records())
	require.Error(t, l.Blocks(t.Context(), block.Range{Len: 4096}, func(leg.ReadOnlyBlock) error { return nil }))
}
