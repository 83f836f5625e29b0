package mirror

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

const testSize = 2 << 20

type bubbleClock struct{ start time.Time }

func (c bubbleClock) Now() time.Duration { return time.Since(c.start) + time.Hour }

// rig is an engine over legs in memory, in virtual time.
type rig struct {
	t       *testing.T
	engine  *Engine
	legs    []*memLeg
	auth    *memAuthority
	device  block.Device
	stopped chan error
}

// newRig attaches an engine over n legs of which the first inSync are in sync.
func newRig(t *testing.T, n, inSync int) *rig {
	return newRigOf(t, volume.Mirror(volume.MaxMirrorLegs), n, inSync)
}

// newRigOf is newRig for any layout.
func newRigOf(t *testing.T, layout volume.Layout, n, inSync int) *rig {
	r := &rig{t: t, auth: &memAuthority{cfg: volume.Config{CfgVer: 1}}, stopped: make(chan error, 1)}
	o := Options{Name: "v", Epoch: 7, AttachID: volume.NewAttachID(), SizeBytes: testSize, Authority: r.auth,
		Layout: layout,
		Clock:  bubbleClock{time.Now()}, Observer: Observer{Stopped: func(err error) { r.stopped <- err }}}
	for i := range n {
		l := newMemLeg(layout.LegBytes(testSize))
		l.fence = 7
		r.legs = append(r.legs, l)
		o.Legs = append(o.Legs, LegSpec{ID: l.id, Leg: l, Slot: i, InSync: i < inSync, Join: true})
		if i < inSync {
			r.auth.cfg.InSync = append(r.auth.cfg.InSync, l.id)
		}
	}
	e, err := New(o)
	require.NoError(t, err)
	r.engine = e
	r.device = block.Blocking(e, e.Limits(), nil)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return r
}

func (r *rig) attach() *rig {
	require.NoError(r.t, r.engine.Attach(r.t.Context()))
	return r
}

// inSync waits until n legs are in sync.
func (r *rig) inSync(n int) {
	r.t.Helper()
	for range 600 {
		count := 0
		for _, l := range r.engine.Status().Legs {
			if l.State == LegInSync {
				count++
			}
		}
		if count == n {
			return
		}
		time.Sleep(100 * time.Millisecond) // virtual
	}
	r.t.Fatalf("not %d legs in sync after a minute: %+v", n, r.engine.Status())
}

func pattern(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// equalLegs checks that every leg holds want.
func (r *rig) equalLegs(want []byte) {
	r.t.Helper()
	for i, l := range r.legs {
		require.True(r.t, bytes.Equal(want, l.bytes()), "leg %d differs", i)
	}
}

func TestEngineKeepsWhatIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		ctx, want := context.Background(), make([]byte, testSize)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 200 {
			off := rng.Int64N(testSize/512) * 512
			n := min((1+rng.Int64N(40))*512, testSize-off)
			switch i % 3 {
			case 0:
				require.NoError(t, r.device.Zero(ctx, block.Range{Off: off, Len: n}, block.Unmap))
				clear(want[off : off+n])
			default:
				p := pattern(uint64(i), int(n))
				require.NoError(t, r.device.Write(ctx, p, off, 0))
				copy(want[off:], p)
			}
			got := make([]byte, n)
			require.NoError(t, r.device.Read(ctx, got, off))
			require.True(t, bytes.Equal(want[off:off+n], got), "step %d: [%d,+%d)", i, off, n)
		}
		r.equalLegs(want)
		require.NoError(t, r.device.Flush(ctx))
		clean, err := r.engine.Detach(ctx)
		require.NoError(t, err)
		require.True(t, clean)
		require.True(t, *r.auth.clean)
		for i, l := range r.legs {
			require.Zero(t, l.marked, "leg %d keeps marks after a clean detach", i)
			require.Positive(t, l.flushes)
		}
		require.ErrorIs(t, r.device.Read(ctx, make([]byte, 512), 0), block.ErrClosed)
	})
}

// A guest may rewrite its buffer while the write is in flight; the legs must still be equal.
func TestGuestRewritesItsBufferInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, 3).attach()
		p := pattern(1, 64<<10)
		want := bytes.Clone(p)
		done := make(chan error, 1)
		r.engine.Submit(&block.Request{Op: block.OpWrite, Range: block.Range{Len: int64(len(p))}, Data: p,
			Complete: func(_ *block.Request, err error) { done <- err }})
		clear(p)
		require.NoError(t, <-done)
		for _, l := range r.legs {
			require.True(t, bytes.Equal(want, l.bytes()[:len(want)]))
		}
	})
}

func TestLegLeavesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		ctx := context.Background()
		want := pattern(3, testSize)
		require.NoError(t, r.device.Write(ctx, want[:1<<20], 0, 0))
		r.legs[1].set(func(l *memLeg) { l.reach = false })
		synctest.Wait() // until the engine has heard of it
		start := time.Now()
		require.NoError(t, r.device.Write(ctx, want[1<<20:], 1<<20, block.FUA))
		require.Less(t, time.Since(start), 4*time.Second, "the guest waits once, for less than 4 s")
		require.False(t, r.auth.cfg.Contains(r.legs[1].id), "no ack skips a leg before it is removed")
		r.inSync(1)
		r.legs[1].set(func(l *memLeg) { l.reach = true })
		r.inSync(2)
		r.equalLegs(want)
	})
}

func TestRebuildOfABlankLegUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 1)
		copy(r.legs[0].data, pattern(4, testSize))
		r.attach()
		var guests sync.WaitGroup
		for g := range 4 {
			guests.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(g), 9))
				for i := range 100 {
					off := rng.Int64N(testSize/512-16) * 512
					err := r.device.Write(context.Background(), pattern(uint64(g*1000+i), 16*512), off, 0)
					require.NoError(t, err)
				}
			})
		}
		guests.Wait()
		r.inSync(2)
		require.True(t, bytes.Equal(r.legs[0].bytes(), r.legs[1].bytes()))
	})
}

func TestNoCoordinatorHoldsAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		r.auth.setDown(true)
		r.legs[1].set(func(l *memLeg) { l.reach = false })
		synctest.Wait() // until the engine has heard of it
		done := make(chan error, 1)
		p := pattern(5, 4096)
		r.engine.Submit(&block.Request{Op: block.OpWrite, Range: block.Range{Len: 4096}, Data: p,
			Complete: func(_ *block.Request, err error) { done <- err }})
		time.Sleep(time.Minute)
		require.Empty(t, done, "no ack without a commit")
		require.Equal(t, StateHeld, r.engine.Status().State)
		require.Contains(t, r.engine.Status().Reason, "no coordinator answers")
		r.auth.setDown(false)
		require.NoError(t, <-done)
	})
}

func TestFencedEngineAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		r.legs[0].set(func(l *memLeg) { l.fenced = true })
		require.ErrorIs(t, <-r.stopped, block.ErrFenced)
		done := make(chan error, 1)
		r.engine.Submit(&block.Request{Op: block.OpWrite, Range: block.Range{Len: 4096}, Data: make([]byte, 4096),
			Complete: func(_ *block.Request, err error) { done <- err }})
		time.Sleep(time.Minute)
		require.Empty(t, done, "a fenced engine neither acks nor refuses")
		require.Equal(t, StateStopped, r.engine.Status().State)
		require.NoError(t, r.engine.Close())
		require.ErrorIs(t, <-done, block.ErrFenced)
	})
}

func TestEveryCacheLostEndsTheAttachment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		require.NoError(t, r.device.Write(context.Background(), make([]byte, 4096), 0, 0))
		for _, l := range r.legs {
			l.set(func(l *memLeg) { l.boot = volume.NewUUID() })
		}
		require.ErrorIs(t, <-r.stopped, ErrCacheLost)
	})
}

func TestReplacedLegRetires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2)
		copy(r.legs[0].data, pattern(6, testSize))
		copy(r.legs[1].data, pattern(6, testSize))
		r.attach()
		fresh := newMemLeg(testSize)
		fresh.fence = 7
		require.NoError(t, r.engine.SetLegs([]LegSpec{
			{ID: r.legs[0].id, InSync: true, Join: true}, {ID: r.legs[1].id, InSync: true, Retiring: true},
			{ID: fresh.id, Leg: fresh, Join: true, Replaces: r.legs[1].id},
		}))
		require.Eventually(t, func() bool {
			r.auth.mu.Lock()
			defer r.auth.mu.Unlock()
			return r.auth.cfg.Contains(fresh.id) && !r.auth.cfg.Contains(r.legs[1].id)
		}, time.Minute, 100*time.Millisecond)
		require.True(t, bytes.Equal(r.legs[0].bytes(), fresh.bytes()))
		require.NoError(t, r.engine.SetLegs([]LegSpec{
			{ID: r.legs[0].id, InSync: true, Join: true}, {ID: fresh.id, InSync: true, Join: true}}))
		require.Eventually(t, func() bool { return !r.engine.Knows(r.legs[1].id) },
			time.Minute, 100*time.Millisecond)
	})
}

func TestSlowLegStallsTheGuestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		r.legs[1].mu.Lock()
		r.legs[1].hold = true
		r.legs[1].mu.Unlock()
		start := time.Now()
		require.NoError(t, r.device.Write(context.Background(), make([]byte, 4096), 0, 0))
		require.Less(t, time.Since(start), 4*time.Second)
		start = time.Now()
		require.NoError(t, r.device.Write(context.Background(), make([]byte, 4096), 0, 0))
		require.Less(t, time.Since(start), 10*time.Millisecond)
	})
}

func TestBadRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 1).attach()
		ctx := context.Background()
		require.ErrorIs(t, r.device.Read(ctx, make([]byte, 100), 0), block.ErrMisaligned)
		require.ErrorIs(t, r.device.Read(ctx, make([]byte, 512), testSize), block.ErrOutOfRange)
		require.NoError(t, r.device.Write(ctx, nil, 0, 0), "nothing to do is done")
		_, err := New(Options{})
		require.Error(t, err)
		require.Contains(t, err.Error(), "the epoch is missing")
		require.Contains(t, err.Error(), "there is no leg")
	})
}

func TestAttachSaysWhatIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2)
		r.auth.setDown(true)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := r.engine.Attach(ctx)
		require.True(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
	})
}

// Effects of a later step may be carried out before those of an earlier one: what is sent then waits for what has
// still to change in its payload.
func TestPayloadIsWholeBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		var arrived atomic.Bool
		r.legs[0].be(func(l *memLeg) {
			l.deaf = func(q *block.Request) bool {
				arrived.Store(arrived.Load() || q.Op == block.OpWrite)
				return q.Op == block.OpWrite
			}
		})
		e := r.engine
		block4K := block.Range{Len: BlockBytes}
		fill := Effect{Kind: EffectFill, Range: block4K, Data: e.buffers.get(BlockBytes),
			Source: e.buffers.get(BlockBytes)}
		e.mu.Lock()
		e.record(&fill, 0)
		e.mu.Unlock()
		go e.carryOut(&Effect{Kind: EffectSubmit, Op: block.OpWrite, Range: block4K, Data: fill.Data})
		synctest.Wait()
		require.False(t, arrived.Load())
		e.carryOut(&fill)
		synctest.Wait()
		require.True(t, arrived.Load())
	})
}
