package throttle

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/plug"
)

// recorder is a queue that answers at once and remembers what it got.
type recorder struct {
	mu  sync.Mutex
	got []*block.Request
}

func (q *recorder) Submit(r *block.Request) {
	q.mu.Lock()
	q.got = append(q.got, r)
	q.mu.Unlock()
	r.Complete(r, nil)
}

func (q *recorder) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.got)
}

// take returns what came since it was called before.
func (q *recorder) take() []*block.Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	got := q.got
	q.got = nil
	return got
}

func ignored(*block.Request, error) {}

func submit(t *Throttle, n int, op block.Op) (submitted []*block.Request) {
	for range n {
		r := &block.Request{Op: op, Range: block.Range{Len: 4096}, Complete: ignored}
		submitted = append(submitted, r)
		t.Submit(r)
	}
	return submitted
}

func TestThrottle_letsGoInOrderByOneTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &recorder{}
		waited := make(chan time.Duration, 100)
		throttle := New(Options{Queue: q, Waited: func(d time.Duration) { waited <- d }})
		submit(throttle, 100, block.OpRead)
		require.Len(t, q.take(), 100, "it begins without a limit")
		require.True(t, throttle.Set(Limit{IOPS: 10, Burst: time.Second}))
		require.False(t, throttle.Set(Limit{IOPS: 10, Burst: time.Second}))
		require.Equal(t, Limit{IOPS: 10, Burst: time.Second}, throttle.Limit())
		all := submit(throttle, 31, block.OpWrite)
		require.Equal(t, all[:11], q.take())
		require.Equal(t, 20, throttle.Waiting())
		flush := submit(throttle, 1, block.OpFlush)
		require.Equal(t, flush, q.take(), "a flush does not wait")
		time.Sleep(time.Second + time.Microsecond)
		synctest.Wait()
		require.Equal(t, all[11:21], q.take(), "in order")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, all[21:], q.take())
		require.Zero(t, throttle.Waiting())
		require.Len(t, waited, 20, "those that went at once did not wait")
		for i := range time.Duration(20) {
			require.Equal(t, (i+1)*100*time.Millisecond, <-waited)
		}
	})
}

// A guest with one request at a time, and one with many, get what they are allowed in the long run, also of a limit so
// high that more is due in a millisecond than one.
func TestThrottle_rates(t *testing.T) {
	for _, depth := range []int{1, 32} {
		for _, rate := range []int64{10, 1000, 20_000} {
			synctest.Test(t, func(t *testing.T) {
				q := &recorder{}
				throttle := New(Options{Queue: q})
				throttle.Set(Limit{IOPS: rate, Burst: time.Second})
				stop := make(chan struct{})
				var guests sync.WaitGroup
				for range depth {
					guests.Go(func() {
						done := make(chan struct{}, 1)
						r := &block.Request{Op: block.OpRead, Range: block.Range{Len: 4096},
							Complete: func(*block.Request, error) { done <- struct{}{} }}
						for {
							select {
							case <-stop:
								return
							default:
							}
							throttle.Submit(r)
							<-done
						}
					})
				}
				time.Sleep(2*time.Second + time.Microsecond)
				synctest.Wait()
				got := q.count()
				close(stop)
				throttle.Lift()
				guests.Wait()
				require.InDelta(t, 3*rate+1, got, float64(rate)*wakeMin.Seconds()+1, "depth %d, %d IOPS", depth, rate)
				require.LessOrEqual(t, int64(got), 3*rate+1)
			})
		}
	}
}

func TestThrottle_changesReachThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &recorder{}
		throttle := New(Options{Queue: q})
		throttle.Set(Limit{IOPS: 1})
		submit(throttle, 1001, block.OpRead)
		require.Equal(t, 1, q.count())
		throttle.Set(Limit{IOPS: 100})
		time.Sleep(5*time.Second + time.Microsecond)
		synctest.Wait()
		require.Equal(t, 501, q.count())
		throttle.Set(Limit{IOPS: 1})
		time.Sleep(5*time.Second + time.Microsecond)
		synctest.Wait()
		require.Equal(t, 506, q.count())
		throttle.Set(Limit{})
		require.Equal(t, 1001, q.count(), "without a limit nobody waits")
		submit(throttle, 10_000, block.OpRead)
		require.Equal(t, 11_001, q.count())
		time.Sleep(time.Hour) // nothing of it is left that fires
	})
}

func TestThrottle_lifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &recorder{}
		throttle := New(Options{Queue: q})
		throttle.Set(Limit{IOPS: 1})
		all := submit(throttle, 1000, block.OpWrite)
		throttle.Lift()
		require.Equal(t, all, q.take())
		require.False(t, throttle.Set(Limit{IOPS: 1}), "a ticket that comes late")
		submit(throttle, 1000, block.OpWrite)
		require.Equal(t, 1000, q.count(), "lifted for good")
		throttle.Lift()
	})
}

// sender is a queue behind a plug: what is put off is sent by whoever releases the plug.
type sender struct {
	plug  plug.Plug
	queue recorder
	sends int
}

func (s *sender) Submit(r *block.Request) {
	s.queue.Submit(r)
	if !s.plug.PutOff() {
		s.sends++
	}
}

func TestThrottle_sendsTogetherWhatHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sender{}
		s.plug.Add(func() { s.sends++ })
		throttle := New(Options{Queue: s, Plug: &s.plug})
		throttle.Set(Limit{IOPS: 1, Burst: time.Minute})
		submit(throttle, 61, block.OpRead)
		require.Equal(t, 61, s.sends, "those that do not wait are a matter of whoever submits them")
		submit(throttle, 100, block.OpRead)
		throttle.Lift()
		require.Equal(t, 161, s.queue.count())
		require.Equal(t, 62, s.sends)
	})
}

// A request that submits the next one when it is answered, before Submit has returned, neither locks up nor overtakes.
func TestThrottle_submitsFromCompletions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &recorder{}
		throttle := New(Options{Queue: q})
		throttle.Set(Limit{IOPS: 1000, Burst: 100 * time.Millisecond})
		var left atomic.Int64
		left.Store(5000)
		r := &block.Request{Op: block.OpRead, Range: block.Range{Len: 4096}}
		r.Complete = func(r *block.Request, _ error) {
			if left.Add(-1) > 0 {
				throttle.Submit(r)
			}
		}
		throttle.Submit(r)
		time.Sleep(time.Second + time.Microsecond)
		synctest.Wait()
		require.InDelta(t, 1101, 5000-left.Load(), 2)
		throttle.Set(Limit{IOPS: 1_000_000_000})
		time.Sleep(time.Minute)
		require.Zero(t, left.Load())
	})
}

// Many goroutines submit while the limit changes: every request is answered once, and nobody is forgotten.
func TestThrottle_race(t *testing.T) {
	q := &recorder{}
	throttle := New(Options{Queue: q})
	const guests, each = 8, 3000
	var answered atomic.Int64
	var all, setting sync.WaitGroup
	stop := make(chan struct{})
	setting.Go(func() {
		for i := int64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
				throttle.Set(Limit{IOPS: i % 3 * 20_000, Bandwidth: i % 5 * 50 << 20, Burst: time.Millisecond})
			}
		}
	})
	all.Add(guests * each)
	complete := func(*block.Request, error) {
		answered.Add(1)
		all.Done()
	}
	for range guests {
		setting.Go(func() {
			for i := range each {
				throttle.Submit(&block.Request{Op: block.OpRead + block.Op(i%3), Complete: complete,
					Range: block.Range{Len: 4096}})
			}
		})
	}
	all.Wait()
	close(stop)
	setting.Wait()
	throttle.Lift()
	require.EqualValues(t, guests*each, answered.Load())
	require.Equal(t, guests*each, q.count())
}
