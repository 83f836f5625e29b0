package plug

import (
	"sync"
	"sync/atomic"
	"testing"

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
