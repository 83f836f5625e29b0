package track

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/block/memdev"
)

// slow is a queue whose requests the test ends.
type slow struct {
	mu    sync.Mutex
	taken []*block.Request
}

func (s *slow) Submit(r *block.Request) {
	s.mu.Lock()
	s.taken = append(s.taken, r)
	s.mu.Unlock()
}

func (s *slow) all() []*block.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*block.Request(nil), s.taken...)
}

func (s *slow) end(i int, err error) { r := s.all()[i]; r.Complete(r, err) }

// write makes a write of one extent, which tells done of its end.
func write(extent int64, done func(error)) *block.Request {
	return &block.Request{Op: block.OpWrite, Range: block.Range{Off: extent * ExtentBytes, Len: 4096},
		Data: make([]byte, 4096), Complete: func(_ *block.Request, err error) { done(err) }}
}

// taken empties a map and returns the extents that were marked.
func taken(m *Map) (extents []int64) {
	for at := int64(0); ; {
		r, ok := m.Take(at, ExtentBytes)
		if !ok {
			return extents
		}
		extents, at = append(extents, r.Off/ExtentBytes), r.End()
	}
}

func TestTracker_marksAtTheEndToo(t *testing.T) {
	q, m := &slow{}, NewMap(8*ExtentBytes)
	tr := New(q)
	var failed error
	tr.Submit(write(1, func(err error) { failed = err })) // in flight when the tracking begins
	taken(m)
	tr.Track(m)
	tr.Submit(write(2, func(error) { require.Equal(t, []int64{1, 2}, taken(m), "marked before its end is told") }))
	require.Equal(t, []int64{2}, taken(m))
	q.end(0, errors.New("medium error"))
	require.EqualError(t, failed, "medium error")
	q.end(1, nil)
	tr.Submit(&block.Request{Op: block.OpRead, Range: block.Range{Len: 4096}})
	tr.Submit(&block.Request{Op: block.OpFlush})
	tr.Submit(&block.Request{Op: block.OpZero, Range: block.Range{Off: 3 * ExtentBytes, Len: 2 * ExtentBytes}})
	require.Equal(t, []int64{3, 4}, taken(m))
	tr.Track(nil)
	tr.Submit(write(5, func(error) {}))
	require.Empty(t, taken(m))
}

func TestTracker_holdsChangesBackInTheirOrder(t *testing.T) {
	q := &slow{}
	tr := New(q)
	tr.Submit(write(0, func(error) {}))
	held := make(chan *Hold)
	go func() {
		h, err := tr.Hold(context.Background(), time.Hour)
		if err != nil {
			t.Error(err)
		}
		held <- h
	}()
	for !tr.holds.Load() {
	}
	tr.Submit(write(1, func(error) {}))
	select {
	case <-held:
		t.Fatal("a change is in flight")
	default:
	}
	q.end(0, nil)
	h := <-held
	_, err := tr.Hold(t.Context(), time.Hour)
	require.ErrorIs(t, err, ErrHeld)
	tr.Submit(write(2, func(error) {}))
	tr.Submit(&block.Request{Op: block.OpRead})
	tr.Submit(write(3, func(error) {}))
	require.Len(t, q.all(), 2, "a read goes on, changes wait")
	require.True(t, h.Release())
	require.False(t, h.Release())
	tr.Submit(write(4, func(error) {}))
	var order []int64
	for _, r := range q.all()[2:] {
		order = append(order, r.Range.Off/ExtentBytes)
	}
	require.Equal(t, []int64{1, 2, 3, 4}, order)
}

func TestTracker_aHoldEndsByItself(t *testing.T) {
	q := &slow{}
	tr := New(q)
	h, err := tr.Hold(t.Context(), time.Millisecond)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for len(q.all()) == 0 {
			tr.mu.Lock()
			waits := len(tr.waiting) > 0
			tr.mu.Unlock()
			if !waits {
				tr.Submit(write(1, func(error) {}))
			}
		}
	}()
	<-done
	require.False(t, h.Release(), "it was not held all the time")

	// Nor does it wait for ever for what is in flight, or for a caller that has gone.
	_, err = tr.Hold(t.Context(), time.Millisecond)
	require.ErrorIs(t, err, ErrOver)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = tr.Hold(ctx, time.Hour)
	require.ErrorIs(t, err, context.Canceled)
	before := len(q.all())
	tr.Submit(write(2, func(error) {}))
	require.Len(t, q.all(), before+1)

	// Close ends one that waits, and is the last word.
	ended := make(chan error)
	go func() { _, err := tr.Hold(context.Background(), time.Hour); ended <- err }()
	for !tr.holds.Load() {
	}
	tr.Close()
	require.ErrorIs(t, <-ended, ErrOver)
	_, err = tr.Hold(t.Context(), time.Hour)
	require.ErrorIs(t, err, ErrOver)
}

// TestTracker_theCopyIsWhatWasThereAtTheHold copies a device beside writers that stamp blocks with growing numbers, and
// cuts it. All that was acknowledged before the hold is in the copy, and nothing that came after.
func TestTracker_theCopyIsWhatWasThereAtTheHold(t *testing.T) {
	const extents, writers = 16, 4
	for round := range uint64(20) {
		src, err := memdev.New(memdev.Options{SizeBytes: extents * ExtentBytes})
		require.NoError(t, err)
		dst, queue := make([]byte, extents*ExtentBytes), blocktest.NewQueue(src, writers)
		tr := New(queue)
		m := NewMap(extents * ExtentBytes)
		dev := block.Blocking(tr, src.Limits(), nil)
		stop := make(chan struct{})
		var running sync.WaitGroup
		for w := range uint64(writers) {
			running.Go(func() {
				r := rand.New(rand.NewPCG(round, w))
				for {
					select {
					case <-stop:
						return
					default:
					}
					p := make([]byte, 512)
					for i := range p {
						p[i] = byte(r.Uint32())
					}
					if err := dev.Write(context.Background(), p, 512*r.Int64N(extents*ExtentBytes/512), 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		tr.Track(m)
		pass := func() {
			for at := int64(0); ; {
				r, ok := m.Take(at, 3*ExtentBytes)
				if !ok {
					return
				}
				at = r.End()
				require.NoError(t, src.Read(t.Context(), dst[r.Off:r.End()], r.Off))
			}
		}
		pass()
		pass()
		h, err := tr.Hold(t.Context(), time.Minute)
		require.NoError(t, err)
		want := make([]byte, len(dst))
		require.NoError(t, src.Read(t.Context(), want, 0))
		pass()
		require.Zero(t, m.Bytes())
		require.True(t, h.Release())
		close(stop)
		running.Wait()
		queue.Close()
		require.Equal(t, want, dst)
	}
}
