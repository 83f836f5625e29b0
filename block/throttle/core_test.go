package throttle

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// guest plays requests to a core in virtual time.
type guest struct {
	core
	now  time.Duration
	gone []time.Duration // when each request went
}

func request(op block.Op, bytes int64) *block.Request {
	return &block.Request{Op: op, Range: block.Range{Len: bytes}}
}

// arrive submits n requests now.
func (g *guest) submit(n int, r *block.Request) {
	for range n {
		if g.core.arrive(g.now, r) {
			g.gone = append(g.gone, g.now)
		}
	}
}

// until lets time go by, in the steps in which requests go.
func (g *guest) until(end time.Duration) {
	for {
		for {
			if _, _, ok := g.next(g.now); !ok {
				break
			}
			g.gone = append(g.gone, g.now)
		}
		if g.waiting.len() == 0 || g.due() > end {
			g.now = end
			return
		}
		g.now = max(g.now, g.due())
	}
}

// A guest that always has requests waiting gets exactly what the limit says: the burst, the rate, and the one request
// that overdraws.
func TestCore_exactCounts(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name  string
		limit Limit
		r     *block.Request
		time  time.Duration
		want  int
	}{
		{"requests", Limit{IOPS: 100, Burst: time.Second}, request(block.OpRead, 4096), 10 * time.Second, 1101},
		{"their length does not count", Limit{IOPS: 100, Burst: time.Second}, request(block.OpRead, mib),
			10 * time.Second, 1101},
		{"bytes", Limit{Bandwidth: mib, Burst: time.Second}, request(block.OpWrite, 4096), 10 * time.Second,
			256*11 + 1},
		{"a rate that divides no second", Limit{IOPS: 7, Burst: time.Second}, request(block.OpRead, 512),
			10_000 * time.Second, 70_008},
		{"a byte rate that divides no second", Limit{Bandwidth: 1_000_003, Burst: 100 * time.Millisecond},
			request(block.OpRead, 4096), 1000 * time.Second, 1000_103_000/4096 + 1},
		{"requests are the tighter one", Limit{IOPS: 50, Bandwidth: mib, Burst: time.Second},
			request(block.OpWrite, 4096), 10 * time.Second, 551},
		{"bytes are the tighter one", Limit{IOPS: 5000, Bandwidth: mib, Burst: time.Second},
			request(block.OpWrite, 64<<10), 10 * time.Second, 16*11 + 1},
		{"a burst of ten seconds", Limit{IOPS: 100, Burst: 10 * time.Second}, request(block.OpRead, 4096),
			time.Second, 1101},
		{"no burst", Limit{IOPS: 100}, request(block.OpRead, 4096), time.Second, 101},
		{"zeroes that are written", Limit{Bandwidth: mib, Burst: time.Second}, request(block.OpZero, mib),
			10 * time.Second, 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &guest{}
			g.set(0, c.limit)
			g.submit(c.want+100, c.r)
			g.until(c.time)
			require.Equal(t, c.want, len(g.gone))
		})
	}
}

// A zero that frees its space moves no bytes: an fstrim of a large disk is not what a limit of bytes is for.
func TestCore_trimsCountAsRequests(t *testing.T) {
	trim := request(block.OpZero, 32<<20)
	trim.Flags = block.Unmap
	g := &guest{}
	g.set(0, Limit{Bandwidth: 1 << 20, Burst: time.Second})
	g.submit(1000, trim)
	require.Equal(t, 1000, len(g.gone))
	g.set(0, Limit{IOPS: 10, Burst: time.Second})
	g.submit(1000, trim)
	require.Equal(t, 1000+11, len(g.gone))
	require.False(t, counts(block.OpFlush))
	require.True(t, counts(block.OpRead) && counts(block.OpWrite) && counts(block.OpZero))
	require.False(t, counts(99), "it is refused behind the throttle")
}

// What is not used is saved up for the burst and no longer.
func TestCore_savesUpForTheBurst(t *testing.T) {
	g := &guest{}
	g.set(0, Limit{IOPS: 10, Burst: 2 * time.Second})
	g.submit(21, request(block.OpRead, 512))
	require.Equal(t, 21, len(g.gone), "it begins with all of it")
	g.until(500 * time.Millisecond)
	g.submit(100, request(block.OpRead, 512))
	require.Equal(t, 21+5, len(g.gone), "half a second is saved, and the one that overdrew is paid for")
	g.until(time.Hour)
	g.submit(100, request(block.OpRead, 512))
	require.Equal(t, 21+100+21, len(g.gone))
}

// A request longer than all that can be saved up goes at once when nothing is owed, and is paid for by those behind it.
func TestCore_longRequests(t *testing.T) {
	const mib = 1 << 20
	g := &guest{}
	g.set(0, Limit{Bandwidth: mib, Burst: time.Second})
	g.submit(1, request(block.OpWrite, 10*mib))
	g.submit(3, request(block.OpWrite, 4*mib))
	g.until(time.Minute)
	require.Equal(t, []time.Duration{0, 9 * time.Second, 13 * time.Second, 17 * time.Second}, g.gone)
}

func TestCore_changesWhileRequestsWait(t *testing.T) {
	start := func(l Limit, waiting int) *guest {
		g := &guest{}
		g.set(0, l)
		g.submit(waiting, request(block.OpWrite, 1<<20))
		g.gone = nil
		return g
	}
	t.Run("raised", func(t *testing.T) {
		g := start(Limit{IOPS: 10, Burst: time.Second}, 1000)
		g.until(time.Second)
		require.Equal(t, 10, len(g.gone))
		g.set(g.now, Limit{IOPS: 100, Burst: time.Second})
		g.until(2 * time.Second)
		require.Equal(t, 10+100, len(g.gone), "at the new rate from now on, with nothing saved up")
	})
	t.Run("lowered", func(t *testing.T) {
		g := start(Limit{IOPS: 100, Burst: time.Second}, 1000)
		g.until(time.Second)
		require.Equal(t, 100, len(g.gone))
		g.set(g.now, Limit{IOPS: 10, Burst: time.Second})
		g.until(2 * time.Second)
		require.Equal(t, 100+10, len(g.gone))
	})
	t.Run("removed", func(t *testing.T) {
		g := start(Limit{IOPS: 10, Burst: time.Second}, 1000)
		g.set(g.now, Limit{Burst: time.Second})
		g.until(g.now)
		require.Equal(t, 1000-11, len(g.gone))
	})
	t.Run("one of two removed", func(t *testing.T) {
		g := start(Limit{IOPS: 10, Bandwidth: 100 << 20, Burst: time.Second}, 1000)
		g.set(g.now, Limit{Bandwidth: 100 << 20, Burst: time.Second})
		g.until(time.Second)
		require.Equal(t, 90+100, len(g.gone), "11 MiB of those that were saved up had gone; one more overdraws")
	})
	t.Run("the same again", func(t *testing.T) {
		g := start(Limit{IOPS: 10, Burst: time.Second}, 1000)
		for g.now < 10*time.Second {
			g.set(g.now, g.limit)
			g.until(g.now + 7*time.Millisecond)
		}
		require.Equal(t, 100, len(g.gone), "saying it again gives nothing")
	})
	t.Run("a long debt is shorter at a higher rate, and no longer at a lower one", func(t *testing.T) {
		for rate, want := range map[int64]time.Duration{
			100: 90 * time.Millisecond, 1: 9 * time.Second, 0: 0, // MiB/s
		} {
			g := &guest{}
			g.set(0, Limit{Bandwidth: 1 << 20, Burst: time.Second})
			g.submit(1, request(block.OpWrite, 10<<20))
			g.set(0, Limit{Bandwidth: rate << 20, Burst: time.Second})
			g.submit(1, request(block.OpWrite, 512))
			g.until(time.Hour)
			require.Equal(t, want, g.gone[1], "%d MiB/s", rate)
		}
		g := &guest{}
		g.set(0, Limit{Bandwidth: 100 << 20, Burst: 0})
		g.submit(1, request(block.OpWrite, 100<<20))
		g.set(0, Limit{Bandwidth: 1 << 20, Burst: 0})
		g.submit(1, request(block.OpWrite, 512))
		g.until(time.Hour)
		require.Equal(t, time.Second, g.gone[1])
	})
	t.Run("a longer burst gives nothing at once, a shorter one takes", func(t *testing.T) {
		g := start(Limit{IOPS: 10, Burst: time.Second}, 11)
		g.set(g.now, Limit{IOPS: 10, Burst: time.Minute})
		g.submit(100, request(block.OpRead, 512))
		require.Empty(t, g.gone)
		g = start(Limit{IOPS: 10, Burst: time.Minute}, 0)
		g.set(g.now, Limit{IOPS: 10, Burst: time.Second})
		g.submit(100, request(block.OpRead, 512))
		require.Equal(t, 11, len(g.gone))
	})
}

// Whatever arrives and whatever is set, requests go in the order in which they came, in no stretch of time more of them
// than the limit allows, and none waits while it need not.
func TestCore_anyOrderOfEvents(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		c := &core{}
		var now, since time.Duration // since the limit stands
		var came, went []*block.Request
		var inForce, bytes int64
		for range 500 {
			now += time.Duration(random.Int64N(int64(30 * time.Millisecond)))
			if random.IntN(40) == 0 {
				c.set(now, Limit{IOPS: random.Int64N(3) * 50, Bandwidth: random.Int64N(3) * 1_000_001,
					Burst: time.Duration(random.Int64N(int64(2 * time.Second)))})
				since, inForce, bytes = now, 0, 0
			}
			goes := func(r *block.Request) {
				if l := c.limit; l.IOPS > 0 {
					allowed := float64(l.IOPS) * (now - since + l.Burst).Seconds()
					require.LessOrEqual(t, float64(inForce), allowed+1e-3, "seed %d", seed)
				}
				if l := c.limit; l.Bandwidth > 0 {
					allowed := float64(l.Bandwidth) * (now - since + l.Burst).Seconds()
					require.LessOrEqual(t, float64(bytes), allowed+1e-3, "seed %d", seed)
				}
				went, inForce, bytes = append(went, r), inForce+1, bytes+r.Range.Len
			}
			for range random.IntN(4) {
				r := request(block.OpWrite, 512<<random.IntN(9))
				came = append(came, r)
				if c.arrive(now, r) {
					goes(r)
				}
			}
			for {
				r, waited, ok := c.next(now)
				if !ok {
					break
				}
				require.GreaterOrEqual(t, waited, time.Duration(0))
				goes(r)
			}
			require.Equal(t, len(came)-len(went), c.waiting.len())
			if c.waiting.len() > 0 {
				require.Greater(t, c.due(), now, "seed %d: who waits has to", seed)
			}
		}
		for i := range went {
			require.Same(t, came[i], went[i], "seed %d: request %d", seed, i)
		}
	}
}

// Numbers that no limit should have do no harm.
func TestBucket_bounds(t *testing.T) {
	g := &guest{}
	g.set(0, Limit{IOPS: -1, Bandwidth: -1, Burst: -1})
	require.True(t, g.limit.None())
	g.set(0, Limit{Bandwidth: 1})
	g.submit(2, request(block.OpWrite, 1<<62))
	require.Equal(t, 1, len(g.gone))
	require.Equal(t, forever, g.due())
	g.set(0, Limit{Bandwidth: 1 << 62, Burst: time.Hour})
	g.until(48 * time.Hour)
	require.Equal(t, 2, len(g.gone), "a higher limit is a way out of any debt")
	g.set(g.now, Limit{})
	g.submit(1, request(block.OpWrite, -5))
	require.Equal(t, 3, len(g.gone))
}

func TestFifo(t *testing.T) {
	var f fifo
	var pushed, popped int
	requests := make([]*block.Request, 1000)
	for i := range requests {
		requests[i] = &block.Request{}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for popped < len(requests) {
		if pushed < len(requests) && random.IntN(3) > 0 {
			f.push(waiter{request: requests[pushed]})
			pushed++
		} else if f.len() > 0 {
			require.Same(t, requests[popped], f.pop().request)
			popped++
		}
		require.Equal(t, pushed-popped, f.len())
	}
}
