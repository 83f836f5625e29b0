package leg_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

func attach(n byte) volume.AttachID { return volume.AttachID{UUID: volume.UUID{15: n}} }

func config(v volume.CfgVer) volume.Config {
	return volume.Config{CfgVer: v, InSync: []volume.LegID{testSpec().Leg}}
}

// login logs in with an epoch whose attachment has the same number.
func login(t *testing.T, l *leg.Leg, epoch volume.Epoch) *leg.Session {
	t.Helper()
	s, err := l.Login(t.Context(), leg.Login{Epoch: epoch, Attach: attach(byte(epoch))}, func(string) {})
	require.NoError(t, err)
	return s
}

// configured logs in and brings the leg its configuration.
func configured(t *testing.T, l *leg.Leg, epoch volume.Epoch) *leg.Session {
	t.Helper()
	s := login(t, l, epoch)
	require.NoError(t, s.Config(t.Context(), epoch, config(volume.CfgVer(epoch))))
	return s
}

func openLeg(t *testing.T, s *leg.Store) *leg.Leg {
	t.Helper()
	l, err := s.OpenLeg(testSpec().Leg)
	require.NoError(t, err)
	return l
}

func TestSession_isABlockDevice(t *testing.T) {
	for _, durability := range []volume.Durability{volume.DurabilityFlush, volume.DurabilitySync} {
		t.Run(string(durability), func(t *testing.T) {
			blocktest.Run(t, func(t *testing.T) block.Device {
				fsys := leg.OSFS(t.TempDir())
				require.NoError(t, leg.InitStore(fsys, testStore, testNode))
				store := openStore(t, fsys, "boot 1")
				spec := testSpec()
				spec.SizeBytes, spec.Durability = 4<<20, durability
				require.NoError(t, store.Provision(spec))
				t.Cleanup(func() { require.NoError(t, store.Close()) })
				return configured(t, openLeg(t, store), 1)
			})
		})
	}
}

func TestSession_nothingBeforeConfig(t *testing.T) {
	l := openLeg(t, newStore(t, newMemFS()))
	s := login(t, l, 1)
	for _, err := range []error{
		s.Read(t.Context(), make([]byte, 4096), 0), s.Write(t.Context(), make([]byte, 4096), 0, 0),
		s.Flush(t.Context()),
		s.Zero(t.Context(), block.Range{Len: 4096}, 0),
	} {
		require.ErrorIs(t, err, leg.ErrNotAdmitted)
		require.NotErrorIs(t, err, block.ErrFenced, "only an older epoch is fenced")
	}
	require.NoError(t, s.Config(t.Context(), 1, config(1)))
	require.NoError(t, s.Write(t.Context(), make([]byte, 4096), 0, 0))
}

// The old host has a write on its way to the disk when the new one logs in. The login waits for it;
// what the old host submits afterwards is refused.
func TestLogin_drainsWhatIsInFlight(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, newStore(t, fsys))
	old := configured(t, l, 1)
	require.NoError(t, old.Write(t.Context(), make([]byte, 4096), 0, 0))
	entered, release := make(chan struct{}), make(chan struct{})
	fsys.setHook(func(op, path string) error {
		if op == "write" && path == "legs/"+l.ID().String()+"/data" {
			close(entered)
			<-release
		}
		return nil
	})
	wrote := make(chan error, 1)
	go func() { wrote <- old.Write(context.Background(), bytes.Repeat([]byte{1}, 4096), 0, 0) }()
	<-entered
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Login(impatient, leg.Login{Epoch: 2, Attach: attach(2)}, func(string) {})
	require.ErrorIs(t, err, context.Canceled, "a disk that hangs leaves the login waiting")
	loggedIn := make(chan *leg.Session, 1)
	go func() {
		s, err := l.Login(context.Background(), leg.Login{Epoch: 2, Attach: attach(2)}, func(string) {})
		if err == nil {
			loggedIn <- s
		}
	}()
	require.ErrorIs(t, old.Read(t.Context(), make([]byte, 4096), 0), block.ErrFenced)
	require.Empty(t, loggedIn, "a request of epoch 1 is still in flight")
	close(release)
	require.NoError(t, <-wrote, "an old write may land before the fence completes")
	s := <-loggedIn
	require.ErrorIs(t, old.Write(t.Context(), make([]byte, 4096), 0, 0), block.ErrFenced)
	require.Equal(t, leg.Counters{RefusedCommands: 2}, l.Status().Counters)
	require.Error(t, l.CheckEpoch(1))
	require.NoError(t, l.CheckEpoch(2))
	require.Equal(t, uint64(1), l.Status().Counters.RefusedLogins)
	fsys.setHook(nil)
	require.NoError(t, s.Config(t.Context(), 2, config(2)))
	got := make([]byte, 4096)
	require.NoError(t, s.Read(t.Context(), got, 0))
	require.Equal(t, byte(1), got[0])
}

// Power fails at every step of a life of two epochs: the label is never lost, and every answer that
// was given holds afterwards.
func TestLabel_powerCutAtEveryStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for cut := 1; ; cut++ {
		fsys := newMemFS()
		store := newStore(t, fsys)
		fsys.cutAt = fsys.ops + cut
		var promised volume.Label // what answers have told so far
		finished := twoEpochs(store, &promised)
		for range 8 {
			after := openStore(t, fsys.powerCut(rng), "boot 2")
			label, err := after.ReadLabel(testSpec().Leg)
			require.NoError(t, err, "cut before operation %d", cut)
			require.GreaterOrEqual(t, label.FenceEpoch, promised.FenceEpoch)
			require.GreaterOrEqual(t, label.Config.CfgVer, promised.Config.CfgVer)
			require.GreaterOrEqual(t, label.SlotSeq, promised.SlotSeq)
			if promised.Marked && label.SlotSeq == promised.SlotSeq {
				require.True(t, label.Marked)
			}
			if promised.Closed {
				require.True(t, label.Closed && label.Clean && !label.Admit)
			}
		}
		if finished {
			require.Greater(t, cut, 15)
			return
		}
	}
}

// twoEpochs notes in promised what each answer says; it reports whether all went well.
func twoEpochs(store *leg.Store, promised *volume.Label) bool {
	ctx := context.Background()
	l, err := store.OpenLeg(testSpec().Leg)
	if err != nil {
		return false
	}
	for epoch := volume.Epoch(1); epoch <= 2; epoch++ {
		s, err := l.Login(ctx, leg.Login{Epoch: epoch, Attach: attach(byte(epoch))}, func(string) {})
		if err != nil {
			return false
		}
		*promised = l.Label()
		for _, step := range []func() error{
			func() error { return s.Config(ctx, epoch, config(volume.CfgVer(epoch))) },
			func() error { return s.Write(ctx, make([]byte, 4096), 0, 0) },
			func() error {
				gen, _, err := s.Rotate()
				return errors.Join(err, s.Stable(ctx, gen))
			},
			func() error { return s.Flush(ctx) },
		} {
			if step() != nil {
				return false
			}
			*promised = l.Label()
		}
		if epoch == 2 {
			if s.Detach(ctx, true) != nil {
				return false
			}
			*promised = l.Label()
		}
	}
	return true
}

// A write that was answered is under a durable mark, and a flushed one is on the disk, wherever
// power fails.
func TestWrite_markIsDurableFirst(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for cut := 1; cut < 12; cut++ {
		fsys := newMemFS()
		s := configured(t, openLeg(t, newStore(t, fsys)), 1)
		one := bytes.Repeat([]byte{1}, 4096)
		fsys.cutAt = fsys.ops + cut
		wrote := s.Write(t.Context(), one, 4096, 0) == nil
		flushed := s.Flush(t.Context()) == nil
		for range 8 {
			store := openStore(t, fsys.powerCut(rng), "boot 2")
			l := openLeg(t, store)
			label := l.Label()
			if wrote {
				require.True(t, label.Marked)
			}
			next := login(t, l, 2)
			report, err := next.Report()
			require.NoError(t, err)
			require.Equal(t, label.Marked, report.Lossy, "another boot with marks has lost its cache")
			require.NoError(t, next.Config(t.Context(), 2, config(2)))
			got := make([]byte, 4096)
			if err = next.Read(t.Context(), got, 4096); errors.Is(err, block.ErrMedium) {
				require.True(t, label.Marked && !(flushed && wrote), "old and new may be mixed, where marked")
				require.NoError(t, next.Adopt(t.Context(), block.Range{Off: 4096, Len: 4096}))
				err = next.Read(t.Context(), got, 4096)
			}
			require.NoError(t, err)
			if flushed && wrote {
				require.Equal(t, one, got)
			}
			if !label.Marked {
				require.Equal(t, make([]byte, 4096), got, "unmarked data is as it was")
			}
		}
	}
}

func TestRestart_keepsTheCacheOfTheSameBoot(t *testing.T) {
	for name, c := range map[string]struct {
		boot    string
		syncAll error
		lossy   bool
	}{
		"process only":              {"boot 1", nil, false},
		"operating system":          {"boot 2", nil, true},
		"write-back errors pending": {"boot 1", syscall.EIO, true},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := newMemFS()
			store := newStore(t, fsys)
			s := configured(t, openLeg(t, store), 1)
			require.NoError(t, s.Write(t.Context(), make([]byte, 4096), 0, 0))
			require.NoError(t, store.Close())
			fsys.syncAll = c.syncAll
			s = login(t, openLeg(t, openStore(t, fsys, c.boot)), 1)
			report, err := s.Report()
			require.NoError(t, err)
			require.Equal(t, c.lossy, report.Lossy)
			require.Equal(t, uint64(1), report.Label.CrashGen)
			err = s.Read(t.Context(), make([]byte, 4096), 0)
			require.Equal(t, c.lossy, errors.Is(err, leg.ErrNotAdmitted), "%v", err)
		})
	}
}

// A failed sync is for ever: nothing is acknowledged after it, and a restart remembers.
func TestFlush_failureIsForGood(t *testing.T) {
	for name, act := range map[string]func(*leg.Session, context.Context) error{
		"flush": func(s *leg.Session, ctx context.Context) error { return s.Flush(ctx) },
		"fua": func(s *leg.Session, ctx context.Context) error {
			return s.Write(ctx, make([]byte, 4096), 0, block.FUA)
		},
		"detach": func(s *leg.Session, ctx context.Context) error { return s.Detach(ctx, false) },
	} {
		t.Run(name, func(t *testing.T) {
			fsys := newMemFS()
			store := newStore(t, fsys)
			l := openLeg(t, store)
			s := configured(t, l, 1)
			require.NoError(t, s.Write(t.Context(), make([]byte, 4096), 0, 0))
			fsys.setHook(func(op, path string) error {
				if op == "sync" && path == "legs/"+l.ID().String()+"/data" {
					return syscall.EIO
				}
				return nil
			})
			require.ErrorIs(t, act(s, t.Context()), block.ErrFailed)
			fsys.setHook(nil)
			require.ErrorIs(t, s.Flush(t.Context()), block.ErrFailed, "no second try")
			require.ErrorIs(t, s.Write(t.Context(), make([]byte, 4096), 0, 0), block.ErrFailed)
			require.Error(t, l.Status().Failed)
			require.NoError(t, store.Close())
			l = openLeg(t, openStore(t, fsys, "boot 1"))
			require.ErrorContains(t, l.Status().Failed, "earlier")
			_, err := l.Login(t.Context(), leg.Login{Epoch: 9, Attach: attach(9)}, func(string) {})
			require.ErrorIs(t, err, block.ErrFailed)
			require.NotErrorIs(t, err, block.ErrFenced)
		})
	}
}

// I28: a write that was on its way when the sync failed is not acknowledged either.
func TestFlush_failureTakesWhatIsInFlightAlong(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, newStore(t, fsys))
	s := configured(t, l, 1)
	require.NoError(t, s.Write(t.Context(), make([]byte, 4096), 0, 0))
	data := "legs/" + l.ID().String() + "/data"
	entered, release := make(chan struct{}), make(chan struct{})
	fsys.setHook(func(op, path string) error {
		switch {
		case path == data && op == "write":
			close(entered)
			<-release
		case path == data && op == "sync":
			return syscall.EIO
		}
		return nil
	})
	wrote := make(chan error, 1)
	go func() { wrote <- s.Write(t.Context(), make([]byte, 4096), 0, 0) }()
	<-entered
	require.ErrorIs(t, s.Flush(t.Context()), block.ErrFailed)
	close(release)
	require.ErrorIs(t, <-wrote, block.ErrFailed)
}

func TestWrite_errorsKeepTheirMeaning(t *testing.T) {
	for name, c := range map[string]struct {
		inject error
		want   error
		failed bool
	}{
		"full": {block.ErrNoSpace, block.ErrNoSpace, false},
		"bad":  {block.ErrFailed, block.ErrFailed, true},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := newMemFS()
			l := openLeg(t, newStore(t, fsys))
			s := configured(t, l, 1)
			require.NoError(t, s.Write(t.Context(), make([]byte, 4096), 0, 0))
			fsys.setHook(func(op, _ string) error {
				if op == "write" {
					return c.inject
				}
				return nil
			})
			require.ErrorIs(t, s.Write(t.Context(), make([]byte, 4096), 0, 0), c.want)
			require.Equal(t, c.failed, l.Status().Failed != nil)
		})
	}
}

func TestInband_marksAndChecksums(t *testing.T) {
	for name, fsys := range map[string]leg.FS{"memory": newMemFS(), "files": leg.OSFS(t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			s := configured(t, openLeg(t, newStore(t, fsys)), 3)
			page, err := s.Marks(3, 0)
			require.NoError(t, err)
			require.Equal(t, inband.MarksPage{Next: 1, Regions: 1}, page, "nothing written, nothing newer")
			one := bytes.Repeat([]byte{1}, 4096)
			require.NoError(t, s.Write(t.Context(), one, 8192, 0))
			page, err = s.Marks(3, 0)
			require.NoError(t, err)
			require.Equal(t, []inband.Run{{Count: 1, Marked: true}}, page.Runs)
			page, err = s.Marks(2, 0)
			require.NoError(t, err)
			require.Equal(t, []inband.Run{{Count: 1, Marked: true, Newer: true}}, page.Runs)
			zero := inband.Checksum(make([]byte, 4096))
			sums, bad, err := s.Checksums(t.Context(), block.Range{Off: 4096, Len: testSize - 4096}, false)
			require.NoError(t, err)
			require.Empty(t, bad)
			require.Len(t, sums, testSize/4096-1)
			for i, sum := range sums {
				want := zero
				if i == 1 {
					want = inband.Checksum(one)
				}
				require.Equal(t, want, sum, "block %d", i)
			}
			_, _, err = s.Checksums(t.Context(), block.Range{Off: testSize, Len: 4096}, false)
			require.ErrorIs(t, err, block.ErrOutOfRange)
		})
	}
}

func TestDetach_leavesNothingForAPowerCut(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, newStore(t, fsys))
	s := configured(t, l, 1)
	require.NoError(t, s.Write(t.Context(), make([]byte, 4096), 0, 0))
	require.ErrorIs(t, s.Detach(t.Context(), true), leg.ErrInvalid)
	gen, _, err := s.Rotate()
	require.NoError(t, err)
	require.NoError(t, s.Stable(t.Context(), gen))
	require.NoError(t, s.Detach(t.Context(), true))
	_, err = s.Report()
	require.NoError(t, err)
	require.ErrorIs(t, s.Read(t.Context(), make([]byte, 4096), 0), block.ErrClosed)
	next := login(t, openLeg(t, openStore(t, fsys.powerCut(rand.New(rand.NewPCG(1, 1))), "boot 2")), 2)
	report, err := next.Report()
	require.NoError(t, err)
	require.False(t, report.Lossy)
	require.Zero(t, report.MarksHash)
	require.False(t, report.Label.Closed, "the new epoch is open")
}

func TestCheck_readsLabelAndData(t *testing.T) {
	fsys := leg.OSFS(t.TempDir())
	l := openLeg(t, newStore(t, fsys))
	empty, err := l.Check()
	require.NoError(t, err)
	require.Zero(t, empty.ReadTime, "there is no data to read")
	s := configured(t, l, 1)
	require.NoError(t, s.Write(t.Context(), bytes.Repeat([]byte{1}, 8192), 4096, block.FUA))
	result, err := l.Check()
	require.NoError(t, err)
	require.Positive(t, result.ReadTime)
	require.GreaterOrEqual(t, result.UsedBytes, int64(8192))
}

func TestCheck_sayWhatCannotBeRead(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, newStore(t, fsys))
	s := configured(t, l, 1)
	require.NoError(t, s.Write(t.Context(), bytes.Repeat([]byte{1}, 4096), 0, 0))
	_, err := l.Check()
	require.NoError(t, err)
	fsys.setHook(func(op, _ string) error {
		if op == "read" {
			return block.ErrMedium
		}
		return nil
	})
	_, err = l.Check()
	require.ErrorIs(t, err, block.ErrMedium)
	fsys.setHook(nil)
	file, err := fsys.Open("legs/" + l.ID().String() + "/label")
	require.NoError(t, err)
	for _, slot := range []int64{0, 4096} {
		_, err = file.WriteAt([]byte{1, 2, 3}, slot+30)
		require.NoError(t, err)
	}
	_, err = l.Check()
	require.ErrorIs(t, err, volume.ErrLabelCorrupt)
}

// Many goroutines write, flush, rotate and log in with ever newer epochs at once; the race detector
// looks on, and at the end exactly the last epoch is served.
func TestLeg_underContention(t *testing.T) {
	l := openLeg(t, newStore(t, leg.OSFS(t.TempDir())))
	var hosts sync.WaitGroup
	for epoch := volume.Epoch(1); epoch <= 6; epoch++ {
		hosts.Go(func() {
			killed := make(chan struct{})
			s, err := l.Login(context.Background(), leg.Login{Epoch: epoch, Attach: attach(byte(epoch))},
				func(string) { close(killed) })
			if err != nil {
				return // overtaken
			}
			defer func() { _ = s.Close() }()
			if s.Config(context.Background(), epoch, config(volume.CfgVer(epoch))) != nil {
				return
			}
			var io sync.WaitGroup
			for worker := range 4 {
				io.Go(func() {
					for range 50 {
						err := s.Write(context.Background(), make([]byte, 4096), int64(worker)*4096, 0)
						if err == nil && worker == 0 {
							err = s.Flush(context.Background())
						}
						if err != nil {
							return
						}
					}
				})
			}
			io.Wait()
			if gen, _, err := s.Rotate(); err == nil {
				_ = s.Stable(context.Background(), gen)
			}
		})
	}
	hosts.Wait()
	require.LessOrEqual(t, l.Label().FenceEpoch, volume.Epoch(6))
	last := configured(t, l, 7)
	require.NoError(t, last.Write(t.Context(), make([]byte, 4096), 0, block.FUA))
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.ErrorIs(t, last.Read(t.Context(), make([]byte, 4096), 0), block.ErrClosed)
}
