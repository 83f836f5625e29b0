package plug

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPlug_putsOffUntilRelease(t *testing.T) {
	var p Plug
	sent := 0
	remove := p.Add(func() { sent++ })
	require.False(t, p.PutOff(), "nobody holds it")
	p.Hold()
	require.True(t, p.PutOff())
	require.True(t, p.PutOff())
	require.Zero(t, sent)
	p.Release()
	require.Equal(t, 1, sent)
	p.Hold()
	p.Release()
	require.Equal(t, 1, sent, "nothing was put off")
	remove()
	p.Hold()
	require.True(t, p.PutOff())
	p.Release()
	require.Equal(t, 1, sent, "it was taken out")
}

func TestPlug_everyReleaseSends(t *testing.T) {
	var p Plug
	sent := 0
	p.Add(func() { sent++ })
	p.Hold()
	p.Hold()
	require.True(t, p.PutOff())
	p.Release()
	require.Equal(t, 1, sent, "another holder is no reason to wait")
	require.True(t, p.PutOff())
	p.Release()
	require.Equal(t, 2, sent)
}

func TestPlug_nilPutsNothingOff(t *testing.T) {
	var p *Plug
	p.Hold()
	require.False(t, p.PutOff())
	p.Release()
	p.Add(func() { t.Error("called") })()
}

// TestPlug_nothingIsForgotten lets holders and senders race: whatever was put off is sent in the end.
func TestPlug_nothingIsForgotten(t *testing.T) {
	var p Plug
	var queued, sent atomic.Int64
	send := func() { sent.Add(queued.Swap(0)) }
	p.Add(send)
	const each, workers = 20000, 4
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				p.Hold()
				p.Release()
			}
		})
		wg.Go(func() {
			for range each {
				queued.Add(1)
				if !p.PutOff() {
					send()
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(workers*each), sent.Load())
}

// TestPlug_forgetsNobodysSends has two senders: while the holder puts off what one of them has to send, and
// releases, the other one is about to put off, too. Each of them sends for itself alone when it is told to.
func TestPlug_forgetsNobodysSends(t *testing.T) {
	const rounds = 50000
	var p Plug
	var queued [2]atomic.Bool
	send := func(i int) { queued[i].Store(false) }
	submit := func(i int) {
		queued[i].Store(true)
		if !p.PutOff() {
			send(i)
		}
	}
	for i := range queued {
		p.Add(func() { send(i) })
	}
	var turn atomic.Int64
	var over atomic.Bool
	meet := func(at int64) {
		for spins := 1; turn.Load() != at; spins++ {
			if spins%1000 == 0 {
				runtime.Gosched()
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for round := range int64(rounds) {
			meet(2*round + 1)
			if over.Load() {
				return
			}
			submit(1)
			turn.Add(1)
		}
	})
	forgotten, began := 0, time.Now()
	for round := range int64(rounds) {
		p.Hold()
		submit(0)
		over.Store(time.Since(began) > 2*time.Second) // on a busy machine a round may take long
		turn.Add(1)
		if over.Load() {
			p.Release()
			break
		}
		for range round % 64 { // the other one is somewhere in PutOff
			_ = p.holders.Load()
		}
		p.Release()
		meet(2*round + 2)
		if queued[0].Load() || queued[1].Load() {
			forgotten++
			queued[0].Store(false)
		}
	}
	wg.Wait()
	require.Zero(t, forgotten, "of at most %d rounds", rounds)
}
