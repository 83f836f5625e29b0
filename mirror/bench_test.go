package mirror

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// nowLeg answers at once, from within Submit, and does nothing.
type nowLeg struct {
	*memLeg
	queue  chan *block.Request
	staged chan *StageRequest
}

func (l *nowLeg) Submit(r *block.Request) { l.queue <- r }
func (l *nowLeg) Stage(r *StageRequest)   { l.staged <- r }

func (l *nowLeg) serve() {
	for {
		select {
		case r, ok := <-l.queue:
			if !ok {
				return
			}
			r.Complete(r, nil)
		case r := <-l.staged:
			r.Complete(r, nil)
		}
	}
}

func benchEngine(b testing.TB, layout volume.Layout, n int) (*Engine, func()) {
	auth := &memAuthority{cfg: volume.Config{CfgVer: 1}}
	o := Options{Name: "v", Epoch: 7, AttachID: volume.NewAttachID(), SizeBytes: 1 << 30, Authority: auth,
		Layout: layout, Clock: bubbleClock{time.Now()}}
	var legs []*nowLeg
	for slot := range n {
		l := &nowLeg{memLeg: newMemLeg(1 << 20), queue: make(chan *block.Request, 1024),
			staged: make(chan *StageRequest, 1024)}
		l.fence = 7
		legs = append(legs, l)
		go l.serve()
		o.Legs = append(o.Legs, LegSpec{ID: l.id, Leg: l, Slot: layout.Legs() - n + slot, InSync: true})
		auth.cfg.InSync = append(auth.cfg.InSync, l.id)
	}
	e, err := New(o)
	require.NoError(b, err)
	require.NoError(b, e.Attach(context.Background()))
	return e, func() {
		require.NoError(b, e.Close())
		for _, l := range legs {
			close(l.queue)
		}
	}
}

func benchmarkEngine(b *testing.B, op block.Op, size int64, depth int) {
	benchmarkLayout(b, volume.Mirror(2), 2, op, size, depth)
}

func benchmarkLayout(b *testing.B, layout volume.Layout, n int, op block.Op, size int64, depth int) {
	e, end := benchEngine(b, layout, n)
	defer end()
	b.SetBytes(size)
	b.ReportAllocs()
	var wg sync.WaitGroup
	for d := range depth {
		wg.Go(func() {
			done := make(chan error, 1)
			r := &block.Request{Op: op, Range: block.Range{Off: int64(d) * size, Len: size}, Data: make([]byte, size),
				Complete: func(_ *block.Request, err error) { done <- err }}
			for range b.N / depth {
				e.Submit(r)
				<-done
			}
		})
	}
	wg.Wait()
}

func BenchmarkWrite4K(b *testing.B)   { benchmarkEngine(b, block.OpWrite, 4<<10, 32) }
func BenchmarkRead4K(b *testing.B)    { benchmarkEngine(b, block.OpRead, 4<<10, 32) }
func BenchmarkWrite128K(b *testing.B) { benchmarkEngine(b, block.OpWrite, 128<<10, 8) }
func BenchmarkRead128K(b *testing.B)  { benchmarkEngine(b, block.OpRead, 128<<10, 8) }

func BenchmarkParity(b *testing.B) {
	l := volume.Parity(4, 2)
	b.Run("write4K", func(b *testing.B) { benchmarkLayout(b, l, 6, block.OpWrite, 4<<10, 32) })
	b.Run("read4K", func(b *testing.B) { benchmarkLayout(b, l, 6, block.OpRead, 4<<10, 32) })
	b.Run("writeStripe", func(b *testing.B) { benchmarkLayout(b, l, 6, block.OpWrite, l.StripeBytes(), 8) })
	b.Run("degradedRead4K", func(b *testing.B) { benchmarkLayout(b, l, 4, block.OpRead, 4<<10, 32) })
}

// TestDataPathDoesNotAllocate: a write and a read cost the Core no allocation in steady state.
func TestDataPathDoesNotAllocate(t *testing.T) {
	w := newSimWorld(1, 2, 2, 0)
	w.calm = true
	h := w.newHost()
	w.runUntil(w.now + 3*time.Second)
	require.True(t, h.serving)
	c, now := h.core, w.now
	effects, answers := make([]Effect, 0, 64), make([]Effect, 0, 64)
	guest, data := &simGuest{}, &simData{1}
	answer := func() {
		for _, x := range effects {
			if x.Kind == EffectSubmit {
				ev := Event{Kind: EventDone, Req: x.Req, Op: x.Op}
				if x.Req.Read {
					ev.Data = data
				}
				answers = c.Step(now, &ev, answers[:0])
			}
		}
	}
	allocs := testing.AllocsPerRun(1000, func() {
		for _, op := range [...]block.Op{block.OpWrite, block.OpRead} {
			ev := Event{Kind: EventGuest, Op: op, Range: block.Range{Len: BlockBytes}, Guest: guest}
			if op == block.OpWrite {
				ev.Data = data
			}
			effects = c.Step(now, &ev, effects[:0])
			answer()
		}
	})
	require.Zero(t, allocs)
	require.NotZero(t, c.pace.quiet.n, "what the guest's requests take is measured")
}
