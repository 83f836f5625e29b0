package mirror

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLatencies_stepsHoldWhatTheyCount(t *testing.T) {
	last := time.Duration(-1)
	for step := range latencySteps {
		require.Greater(t, latencyOf(step), last, step)
		last = latencyOf(step)
		if step < latencySteps-1 {
			require.Equal(t, step, latencyStep(last), step)
			require.Equal(t, step+1, latencyStep(last+time.Microsecond), step)
		}
	}
	require.Equal(t, 0, latencyStep(-time.Second))
	require.Equal(t, latencySteps-1, latencyStep(10000*time.Hour))
}

func TestLatencies_highLeavesOutHiccups(t *testing.T) {
	var l latencies
	for range 98 {
		l.add(0, time.Millisecond)
	}
	l.add(0, time.Second)
	l.add(0, time.Second)
	require.InEpsilon(t, float64(time.Millisecond), float64(l.high()), 0.25)
	l.add(0, time.Second)
	require.InEpsilon(t, float64(time.Second), float64(l.high()), 0.25)
}

// window feeds one window of requests that all take so long.
func (p *pace) window(now *time.Duration, took time.Duration, beside bool, most int) {
	for range paceLeast + 1 {
		*now += paceWindow / paceLeast
		p.answered(*now, *now-took, beside, most)
	}
}

func TestPace_decides(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name         string
		depth, most  int
		base, beside time.Duration
		want         int
	}{
		{"nothing known: half", 0, 8, 0, 50 * ms, 4},
		{"nothing known, one at most", 0, 1, 0, 50 * ms, 1},
		{"well: one more for each window", 3, 8, 10 * ms, 11 * ms, 4},
		{"never above the most", 8, 8, 10 * ms, 11 * ms, 8},
		{"bad: half for each window", 8, 8, 10 * ms, 40 * ms, 4},
		{"never below one", 1, 8, 10 * ms, 15000 * ms, 1},
		{"less than the floor is noise", 2, 8, time.Microsecond, 700 * time.Microsecond, 3},
	} {
		p, now := pace{depth: c.depth}, time.Hour
		if c.base != 0 {
			p.learn(c.base)
		}
		p.window(&now, c.beside, true, c.most)
		require.Equal(t, c.want, p.limit(now, true, c.most), c.name)
	}
}

func TestPace_idleGuestTakesNothing(t *testing.T) {
	p := pace{}
	require.Equal(t, 8, p.limit(time.Hour, false, 8), "a guest that never asked")
	p.depth = 2
	p.answered(time.Hour, time.Hour-time.Millisecond, true, 8)
	require.Equal(t, 2, p.limit(time.Hour+paceIdle/2, false, 8), "between two requests")
	require.Equal(t, 8, p.limit(time.Hour+paceIdle, false, 8))
	require.Equal(t, 2, p.limit(time.Hour+paceIdle, true, 8), "it waits for an answer")
}

// TestPace_keepsGuestNearItsBase closes the loop: a disk on which each copy costs the guest something. The guest
// is held near twice its base, and what the disk has left is used.
func TestPace_keepsGuestNearItsBase(t *testing.T) {
	const ms, most = time.Millisecond, 16
	p, now := pace{}, time.Hour
	p.window(&now, 10*ms, false, most)
	run := func(perCopy time.Duration, windows int) (depths []int) {
		for range windows {
			depth := p.limit(now, true, most)
			depths = append(depths, depth)
			p.window(&now, 10*ms+time.Duration(depth)*perCopy, true, most)
		}
		return depths
	}
	run(2*ms, 20)
	for _, d := range run(2*ms, 20) { // up to 5 keep the guest at twice its base
		require.GreaterOrEqual(t, d, 2)
		require.LessOrEqual(t, d, 8)
	}
	run(ms/10, 20)
	require.Equal(t, most, p.limit(now, true, most), "a disk with room is used")
	run(100*ms, 4)
	require.Equal(t, 1, p.limit(now, true, most), "a disk without any is left to the guest")

	// A guest that asks for more than it did finds a new base, and the copy is not held up for good.
	p.depth = 1
	for range 40 {
		p.window(&now, 60*ms, true, most)
	}
	require.Equal(t, most, p.limit(now, true, most))
}

// TestPace_restsWhenOneIsTooMuch: step by step up to the gap, and back.
func TestPace_restsWhenOneIsTooMuch(t *testing.T) {
	const ms, most = time.Millisecond, 8
	p, now := pace{depth: 1}, time.Hour
	p.window(&now, 10*ms, false, most)
	rest := func() time.Duration {
		p.began(now)
		return p.due(now, true) - now
	}
	require.Zero(t, rest())
	for _, want := range []time.Duration{paceGap / 4, paceGap / 2, paceGap, paceGap} {
		p.window(&now, 30*ms, true, most)
		require.Equal(t, want, rest())
		require.Equal(t, 1, p.limit(now, true, most), "once it is due")
	}
	require.Greater(t, p.base, 10*ms, "the base follows when it cannot rest any longer")
	require.Equal(t, now+paceIdle, p.due(now+paceIdle, false), "a guest that does nothing is no reason to rest")
	for _, want := range []time.Duration{paceGap / 2, paceGap / 4, 0} {
		p.window(&now, 11*ms, true, most)
		require.Equal(t, want, rest())
		require.Equal(t, 1, p.limit(now, true, most))
	}
	p.window(&now, 11*ms, true, most)
	require.Equal(t, 2, p.limit(now, true, most))
}

func TestPace_doesNotAllocate(t *testing.T) {
	p, now := pace{}, time.Hour
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		now += time.Millisecond
		p.answered(now, now-time.Millisecond, now%2 == 0, 8)
		_ = p.limit(now, true, 8)
	}))
}

func BenchmarkPace(b *testing.B) {
	b.ReportAllocs()
	p, now := pace{}, time.Hour
	for range b.N {
		now += 20 * time.Microsecond
		p.answered(now, now-time.Millisecond, true, 8)
		_ = p.limit(now, true, 8)
	}
}
