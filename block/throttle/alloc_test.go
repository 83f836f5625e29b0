//go:build !race

package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// answerer is a queue that answers at once.
type answerer struct{}

func (answerer) Submit(r *block.Request) { r.Complete(r, nil) }

func TestThrottle_allocatesNothing(t *testing.T) {
	done := make(chan struct{}, 64)
	r := &block.Request{Op: block.OpWrite, Range: block.Range{Len: 4096},
		Complete: func(*block.Request, error) { done <- struct{}{} }}
	throttle := New(Options{Queue: answerer{}, Waited: func(time.Duration) {}})
	run := func() {
		for range 32 {
			throttle.Submit(r)
		}
		for range 32 {
			<-done
		}
	}
	require.Zero(t, testing.AllocsPerRun(100, run), "without a limit")
	throttle.Set(Limit{IOPS: 30_000, Burst: time.Millisecond})
	run()
	require.Zero(t, testing.AllocsPerRun(100, run), "with requests that wait")
	throttle.Lift()
}

// BenchmarkThrottle is what a throttle costs a request that does not wait.
func BenchmarkThrottle(b *testing.B) {
	for name, limit := range map[string]Limit{"none": {}, "limited": {IOPS: 1 << 40, Bandwidth: 1 << 60}} {
		b.Run(name, func(b *testing.B) {
			throttle := New(Options{Queue: answerer{}})
			throttle.Set(limit)
			r := &block.Request{Op: block.OpWrite, Range: block.Range{Len: 4096}, Complete: ignored}
			b.ReportAllocs()
			for b.Loop() {
				throttle.Submit(r)
			}
		})
	}
}
