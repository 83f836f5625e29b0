package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEventQueue_givesWhatIsNext: by time, and what happens at the same time in the order in which it was put there,
// however pushes and pops alternate.
func TestEventQueue_givesWhatIsNext(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var q eventQueue
	now, order, popped := time.Duration(0), uint64(0), 0
	last := timed{}
	for popped < 2000 {
		if len(q) == 0 || rng.IntN(len(q)+20) > len(q)/2 {
			order++
			q.push(timed{at: now + time.Duration(rng.IntN(30)), order: order})
			continue
		}
		e := q.pop()
		require.Falsef(t, e.before(last), "%v after %v", e.at, last.at)
		require.False(t, slices.ContainsFunc(q, func(other timed) bool { return other.before(e) }))
		now, last = e.at, e
		popped++
	}
}
