package devnet

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// recorded is a pipe and the first bytes of the frames that it delivered.
type recorded struct {
	*pipe
	arrived []byte
}

func newRecorded(from, to string, r Rules) *recorded {
	x := &recorded{}
	x.pipe = newPipe(from, to, func(frame []byte) { x.arrived = append(x.arrived, frame[0]) })
	x.set(r)
	return x
}

// sendAll sends n frames, numbered from 0, and returns whether somebody was asked to drain.
func (x *recorded) sendAll(n int) (drain bool) {
	frame := make([]byte, 60)
	for i := range n {
		frame[0] = byte(i) // the pipe must not keep the caller's
		drain = x.send(frame, time.Now()) || drain
	}
	return drain
}

func numbers(n int) []byte {
	all := make([]byte, n)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

func TestPipe_losesTheShareThatWasAskedFor(t *testing.T) {
	const frames = 20_000
	for _, loss := range []float64{0, 0.01, 0.25, 0.9, 1} {
		x := newRecorded("a", "b", Rules{Loss: loss})
		require.False(t, x.sendAll(frames), "nothing is held")
		got := 1 - float64(len(x.arrived))/frames
		require.InDelta(t, loss, got, 0.02, "loss %v", loss)
		if loss == 0 || loss == 1 {
			require.Equal(t, loss, got, "not one frame else")
		}
		again := newRecorded("a", "b", Rules{Loss: loss})
		again.sendAll(frames)
		require.Equal(t, x.arrived, again.arrived, "a run can be repeated")
	}
	one, other := newRecorded("a", "b", Rules{Loss: 0.5}), newRecorded("b", "a", Rules{Loss: 0.5})
	one.sendAll(200)
	other.sendAll(200)
	require.NotEqual(t, one.arrived, other.arrived, "each direction has its own luck")
}

func TestPipe_aCutLosesEverythingUntilItHeals(t *testing.T) {
	x := newRecorded("a", "b", Rules{})
	x.sendAll(3)
	x.set(Rules{Cut: true, Delay: time.Second})
	require.Equal(t, Rules{Cut: true, Delay: time.Second}, x.get())
	require.False(t, x.sendAll(100), "nothing is held for later, either")
	require.Equal(t, numbers(3), x.arrived)
	x.set(Rules{})
	x.sendAll(3)
	require.Equal(t, append(numbers(3), numbers(3)...), x.arrived, "and nothing of it comes afterwards")
}

// TestPipe_whatIsOnItsWay: a delay keeps the order, also when it ends, and a cut loses what is on its way.
func TestPipe_whatIsOnItsWay(t *testing.T) {
	for name, x := range map[string]struct {
		then Rules
		want []byte
	}{
		"arrives in its time":           {Rules{Delay: time.Second}, append(numbers(5), numbers(2)...)},
		"stays before what comes later": {Rules{}, append(numbers(5), numbers(2)...)},
		"is lost in a cut":              {Rules{Cut: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newRecorded("a", "b", Rules{Delay: time.Second})
				require.True(t, p.sendAll(5), "somebody has to drain")
				begun := time.Now()
				var ends []time.Duration
				done := make(chan struct{})
				deliver := p.deliver
				p.deliver = func(frame []byte) { deliver(frame); ends = append(ends, time.Since(begun)) }
				go func() { p.drain(t.Context()); close(done) }()
				synctest.Wait()
				require.Empty(t, p.arrived, "not before the second is over")
				p.set(x.then)
				require.False(t, p.sendAll(2), "one drains already")
				<-done
				require.Equal(t, x.want, p.arrived)
				require.False(t, slices.ContainsFunc(ends, func(d time.Duration) bool { return d != time.Second }),
					"each after a second, and no other time: %v", ends)
				p.set(Rules{Delay: time.Second})
				require.True(t, p.sendAll(1), "it is empty, and has to be drained anew")
			})
		})
	}
}

func TestPipe_holdsNoMoreThanItsBound(t *testing.T) {
	x := newRecorded("a", "b", Rules{Delay: time.Second})
	frame := make([]byte, 1<<20)
	now := time.Now()
	for range 2 * pipeBytesMax >> 20 {
		x.send(frame, now)
	}
	require.Equal(t, pipeBytesMax, x.bytes)
	wait, more := x.deliverDue(now.Add(time.Second))
	require.Zero(t, wait)
	require.False(t, more)
	require.Len(t, x.arrived, pipeBytesMax>>20)
	require.Zero(t, x.bytes)
}
