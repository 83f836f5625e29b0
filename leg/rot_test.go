package leg_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

func legPath(name string) string { return "legs/" + testSpec().Leg.String() + "/" + name }

// flip changes one bit of a file, in the page cache and on the medium.
func (f *memFS) flip(p string, off int64, bit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.find(p)
	n.own()
	n.data[off] ^= 1 << bit
	n.durableData[off] ^= 1 << bit
}

// stable makes every write so far durable and clears its marks: what does not match now is corrupt.
func stable(t *testing.T, s *leg.Session) {
	t.Helper()
	gen, _, err := s.Rotate()
	require.NoError(t, err)
	require.NoError(t, s.Stable(t.Context(), gen))
}

// pattern is a block, or several, that no other test value resembles.
func pattern(seed byte, blocks int) []byte {
	p := make([]byte, blocks*4096)
	for i := range p {
		p[i] = seed ^ byte(i) ^ byte(i>>8)
	}
	return p
}

// requireBad holds that exactly one block of the leg cannot be read, by every way of asking.
func requireBad(t *testing.T, s *leg.Session, bad int64) {
	t.Helper()
	p := make([]byte, testSize)
	err := s.Read(t.Context(), p, 0)
	require.ErrorIs(t, err, block.ErrMedium)
	require.Equal(t, make([]byte, testSize), p, "nothing of it is served")
	for n := range int64(testSize / 4096) {
		err := s.Read(t.Context(), p[:4096], n*4096)
		require.Equal(t, n == bad, err != nil, "block %d: %v", n, err)
	}
	for _, medium := range []bool{false, true} {
		_, list, err := s.Checksums(t.Context(), block.Range{Len: testSize}, medium)
		require.NoError(t, err)
		require.Equal(t, []uint32{uint32(bad)}, list)
	}
}

// Matrix 33 to 35. One bit anywhere in the data or in a checksum is found, the leg stays in service, and a
// write of the block mends it. It is not adopted: where nothing is marked no write can have been lost.
func TestRot_isFoundAndMended(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, newStore(t, fsys))
	s := configured(t, l, 1)
	require.NoError(t, s.Write(t.Context(), pattern(7, 8), 0, 0))
	require.NoError(t, s.Zero(t.Context(), block.Range{Off: 4096, Len: 4096}, 0))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		stable(t, s)
		n := rng.Int64N(12) // some were never written
		if rng.IntN(3) > 0 {
			fsys.flip(legPath("data"), n*4096+rng.Int64N(4096), rng.IntN(8))
		} else {
			fsys.flip(legPath("checksums"), 4096+n*4+rng.Int64N(4), rng.IntN(8))
		}
		before := l.Status().Mismatches
		requireBad(t, s, n)
		require.Equal(t, before+2, l.Status().Mismatches, "the whole leg was read, and each block")
		r := block.Range{Off: n * 4096, Len: 4096}
		require.ErrorIs(t, s.Adopt(t.Context(), r), leg.ErrInvalid)
		requireBad(t, s, n)
		if rng.IntN(4) == 0 {
			require.NoError(t, s.Zero(t.Context(), r, block.Unmap))
		} else {
			require.NoError(t, s.Write(t.Context(), pattern(byte(rng.Uint32()), 1), r.Off, 0))
		}
		require.NoError(t, s.Read(t.Context(), make([]byte, testSize), 0))
	}
	require.NoError(t, l.Status().Failed)
}

// Rot that the page cache still hides is found by reading the medium.
func TestRot_ofTheMediumBehindTheCache(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, newStore(t, fsys)), 1)
	require.NoError(t, s.Write(t.Context(), pattern(7, 16), 0, 0))
	stable(t, s)
	data := fsys.find(legPath("data"))
	data.own()
	data.durableData[3*4096+17] ^= 4
	whole := block.Range{Len: testSize}
	_, bad, err := s.Checksums(t.Context(), whole, false)
	require.NoError(t, err)
	require.Empty(t, bad)
	_, bad, err = s.Checksums(t.Context(), whole, true)
	require.NoError(t, err)
	require.Equal(t, []uint32{3}, bad)
}

// Matrix 35: a disk that loses a write, or puts it to another place, without a word.
func TestRot_lostAndMisdirectedWrites(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, newStore(t, fsys)), 1)
	require.NoError(t, s.Write(t.Context(), pattern(1, 16), 0, 0))
	stable(t, s)
	fsys.setTear(func(path string, _ int64, n int) (int, error) {
		if path == legPath("data") {
			return 0, nil
		}
		return n, nil
	})
	require.NoError(t, s.Write(t.Context(), pattern(2, 1), 5*4096, 0))
	fsys.setTear(nil)
	requireBad(t, s, 5)
	require.NoError(t, s.Write(t.Context(), pattern(2, 1), 5*4096, 0))

	// The bytes of block 5 arrive at block 9: 5 is as it was, and 9 holds what is right elsewhere.
	stable(t, s)
	data := fsys.find(legPath("data"))
	data.own()
	copy(data.data[9*4096:10*4096], data.data[5*4096:6*4096])
	copy(data.durableData[9*4096:10*4096], data.data[5*4096:6*4096])
	requireBad(t, s, 9)
	// Even if its checksum went along: the number of the block is in it.
	sums := fsys.find(legPath("checksums"))
	sums.own()
	copy(sums.data[4096+9*4:4096+10*4], sums.data[4096+5*4:])
	copy(sums.durableData[4096+9*4:4096+10*4], sums.data[4096+5*4:])
	requireBad(t, s, 9)
}

// A bad sector is a bad block, whether it lies under the data or under the checksums; a scrub goes on
// behind it.
func TestRot_unreadableSector(t *testing.T) {
	for _, name := range []string{"data", "checksums"} {
		t.Run(name, func(t *testing.T) {
			fsys := newMemFS()
			l := openLeg(t, newStore(t, fsys))
			s := configured(t, l, 1)
			require.NoError(t, s.Write(t.Context(), pattern(1, 8), 0, 0))
			stable(t, s)
			fsys.setHook(func(op, path string) error {
				if op == "read" && path == legPath(name) {
					return block.ErrMedium
				}
				return nil
			})
			require.ErrorIs(t, s.Read(t.Context(), make([]byte, 4096), 0), block.ErrMedium)
			_, bad, err := s.Checksums(t.Context(), block.Range{Len: 4 * 4096}, false)
			require.NoError(t, err)
			require.Equal(t, []uint32{0, 1, 2, 3}, bad)
			require.NoError(t, l.Status().Failed)
		})
	}
}

func TestCheck_verifiesTheBlockThatItReads(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, newStore(t, fsys))
	s := configured(t, l, 1)
	require.NoError(t, s.Write(t.Context(), pattern(1, 1), 4096, 0))
	fsys.flip(legPath("data"), 5000, 1)
	_, err := l.Check()
	require.ErrorIs(t, err, block.ErrMedium, "no power cut can have left it so")
	cut := openStore(t, fsys.afterCut(func(n int) int { return n - 1 }), "boot 2")
	_, err = openLeg(t, cut).Check()
	require.NoError(t, err, "a power cut may leave it so in a marked region")
	require.NoError(t, cut.Close())
	require.NoError(t, s.Write(t.Context(), pattern(1, 1), 4096, 0))
	stable(t, s)
	_, err = l.Check()
	require.NoError(t, err)
	fsys.flip(legPath("data"), 5000, 1)
	_, err = l.Check()
	require.ErrorIs(t, err, block.ErrMedium)
	require.ErrorContains(t, err, "block 1 ")
}

// Matrix 40. A write that finds no room leaves each of its blocks readable, old or new; one that was bad
// before, and that the write did not reach, stays bad.
func TestNoSpace_leavesEveryBlockReadable(t *testing.T) {
	old, next := pattern(1, 4), pattern(2, 4)
	for stored := 0; stored <= 4*4096; stored += 512 {
		fsys := newMemFS()
		l := openLeg(t, newStore(t, fsys))
		s := configured(t, l, 1)
		require.NoError(t, s.Write(t.Context(), old, 4096, 0))
		fsys.flip(legPath("data"), 4*4096+100, 0)
		fsys.setTear(func(path string, _ int64, n int) (int, error) {
			if path == legPath("data") {
				return stored, block.ErrNoSpace
			}
			return n, nil
		})
		require.ErrorIs(t, s.Write(t.Context(), next, 4096, 0), block.ErrNoSpace)
		fsys.setTear(nil)
		require.NoError(t, l.Status().Failed)
		want := append(append([]byte(nil), next[:stored]...), old[stored:]...)
		for n := range 4 {
			got := make([]byte, 4096)
			err := s.Read(t.Context(), got, int64(n+1)*4096)
			if n == 3 && stored <= 3*4096 {
				require.ErrorIs(t, err, block.ErrMedium, "%d bytes stored", stored)
				continue
			}
			require.NoError(t, err, "block %d, %d bytes stored", n, stored)
			require.Equal(t, want[n*4096:][:4096], got, "block %d, %d bytes stored", n, stored)
		}
	}
}

// A request whose context ends in the middle leaves nothing unreadable either.
func TestWrite_cancelledInTheMiddle(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, newStore(t, fsys)), 1)
	require.NoError(t, s.Write(t.Context(), pattern(1, 2), 0, 0))
	ctx, cancel := context.WithCancel(t.Context())
	fsys.setTear(func(path string, _ int64, n int) (int, error) {
		if path == legPath("data") {
			cancel()
			return 4096, ctx.Err()
		}
		return n, nil
	})
	require.ErrorIs(t, s.Write(ctx, pattern(2, 2), 0, 0), context.Canceled)
	fsys.setTear(nil)
	got := make([]byte, 8192)
	require.NoError(t, s.Read(t.Context(), got, 0))
	require.Equal(t, append(pattern(2, 2)[:4096], pattern(1, 2)[4096:]...), got)
}

// A write that waits inside the disk, between its data and its checksums, holds up whoever overlaps it, and nobody
// else. A reader that comes across it sees no medium error but waits for it.
func TestWrite_overlapping(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, newStore(t, fsys)), 1)
	require.NoError(t, s.Write(t.Context(), pattern(1, 4), 0, 0))
	stored, release := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	fsys.setHook(func(op, path string) error {
		if op == "write" && path == legPath("checksums") && first.CompareAndSwap(false, true) {
			close(stored)
			<-release
		}
		return nil
	})
	var requests sync.WaitGroup
	requests.Go(func() { requireNoError(t, s.Write(context.Background(), pattern(2, 2), 0, 0)) })
	<-stored
	requests.Go(func() { requireNoError(t, s.Write(context.Background(), pattern(3, 2), 4096, 0)) })
	requests.Go(func() {
		got := make([]byte, 4096)
		requireNoError(t, s.Read(context.Background(), got, 0))
		if !bytes.Equal(got, pattern(2, 1)) {
			t.Error("the read did not wait for the write that it came across")
		}
	})
	require.NoError(t, s.Write(t.Context(), pattern(4, 1), 3*4096, 0), "it overlaps nothing")
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, s.Write(impatient, pattern(5, 1), 0, 0))
	close(release)
	requests.Wait()
	_, bad, err := s.Checksums(t.Context(), block.Range{Len: testSize}, false)
	require.NoError(t, err)
	require.Empty(t, bad)
	got := make([]byte, 4*4096)
	require.NoError(t, s.Read(t.Context(), got, 0))
	want := append(pattern(2, 1), pattern(3, 2)...)
	require.Equal(t, append(want, pattern(4, 1)...), got)
}

func requireNoError(t *testing.T, err error) {
	if err != nil {
		t.Error(err)
	}
}

// Overlapping writes, zeroes, reads and checksums of many goroutines on real files: each block is always
// that of one write, and always matches.
func TestSession_overlappingRequestsOnFiles(t *testing.T) {
	s := configured(t, openLeg(t, newStore(t, leg.OSFS(t.TempDir()))), 1)
	var all sync.WaitGroup
	for seed := range uint64(6) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 3))
			p := make([]byte, testSize)
			for range 300 {
				r := block.Range{Off: rng.Int64N(8) * 4096, Len: (rng.Int64N(8) + 1) * 4096}
				var err error
				switch rng.IntN(5) {
				case 0, 1:
					err = s.Write(context.Background(), bytes.Repeat([]byte{byte(rng.Uint32())}, int(r.Len)), r.Off, 0)
				case 2:
					err = s.Zero(context.Background(), r, block.Flags(rng.IntN(2))*block.Unmap)
				case 3:
					_, bad, e := s.Checksums(context.Background(), r, rng.IntN(2) == 0)
					if err = e; len(bad) > 0 {
						t.Errorf("bad blocks: %v of %s", bad, r)
					}
				case 4:
					err = s.Read(context.Background(), p[:r.Len], r.Off)
					for at := int64(0); at < r.Len; at += 4096 {
						if one := p[at : at+4096]; !bytes.Equal(one, bytes.Repeat(one[:1], 4096)) {
							t.Errorf("a block of two writes at %d", r.Off+at)
						}
					}
				}
				requireNoError(t, err)
			}
		})
	}
	all.Wait()
}

func TestOpenLeg_checksumsThatAreNotThose(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(path string) error
		lost   bool
		is     error
	}{
		"missing":   {os.Remove, true, nil},
		"cut short": {func(p string) error { return os.Truncate(p, 4096) }, true, nil},
		"too long":  {func(p string) error { return os.Truncate(p, 1<<20) }, false, leg.ErrMismatch},
		"rotten header": {func(p string) error {
			return overwrite(p, 3, []byte{0xff})
		}, false, nil},
		"newer": {func(p string) error {
			b, err := os.ReadFile(p)
			if err == nil {
				b[9]++
				err = overwrite(p, 0, withSum(b[:512]))
			}
			return err
		}, false, volume.ErrLabelVersion},
		"of another leg": {func(p string) error {
			b, err := os.ReadFile(p)
			if err == nil {
				b[24]++
				err = overwrite(p, 0, withSum(b[:512]))
			}
			return err
		}, false, leg.ErrMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			store := newStore(t, leg.OSFS(root))
			path := filepath.Join(root, legPath("checksums"))
			require.NoError(t, configured(t, openLeg(t, store), 1).Write(t.Context(), pattern(1, 2), 0, 0))
			require.NoError(t, store.Close())
			require.NoError(t, c.damage(path))
			store = openStore(t, leg.OSFS(root), "boot 1")
			l, err := store.OpenLeg(testSpec().Leg)
			lost := (*leg.LostError)(nil)
			switch {
			case c.lost:
				require.ErrorAs(t, err, &lost)
				require.ErrorContains(t, store.Provision(testSpec()), "lost", "it is never made again")
			case c.is != nil:
				require.ErrorIs(t, err, c.is)
				require.NotErrorAs(t, err, &lost)
			default:
				require.NoError(t, err)
				got := make([]byte, 8192)
				require.NoError(t, configured(t, l, 1).Read(t.Context(), got, 0))
				require.Equal(t, pattern(1, 2), got)
			}
			require.NoError(t, store.Close())
		})
	}
}

func overwrite(path string, off int64, b []byte) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if _, err = file.WriteAt(b, off); err != nil {
		return err
	}
	return file.Close()
}

// A failed sync of the checksums is one of the leg, for good.
func TestFlush_checksumsThatFailToSync(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, newStore(t, fsys))
	s := configured(t, l, 1)
	require.NoError(t, s.Write(t.Context(), pattern(1, 1), 0, 0))
	fsys.setHook(func(op, path string) error {
		if op == "sync" && path == legPath("checksums") {
			return syscall.EIO
		}
		return nil
	})
	require.ErrorIs(t, s.Flush(t.Context()), block.ErrFailed)
	fsys.setHook(nil)
	require.ErrorIs(t, s.Flush(t.Context()), block.ErrFailed, "no second try")
	require.Error(t, l.Status().Failed)
}
