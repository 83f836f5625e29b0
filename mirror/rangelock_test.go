package mirror

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// TestRangeLocksAgreeWithAListOfClaims compares the table with the plain rule: a lock is held when no
// older one that is still there conflicts with it.
func TestRangeLocksAgreeWithAListOfClaims(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var table lockTable
	var claims []*op // oldest first
	held := func(o *op) bool {
		for _, p := range claims {
			if p == o {
				return true
			}
			if conflict(p, o) {
				return false
			}
		}
		return true
	}
	for range 20000 {
		if len(claims) < 40 && rng.IntN(2) == 0 {
			o := &op{rng: block.Range{Off: rng.Int64N(1<<12) * BlockBytes, Len: (1 + rng.Int64N(8)) * BlockBytes}}
			if rng.IntN(8) == 0 {
				o.rng.Len = rng.Int64N(1<<11)*BlockBytes + BlockBytes // spans zones
			}
			claims = append(claims, o)
			require.Equal(t, table.acquire(o, rng.IntN(2) == 0), held(o))
			continue
		}
		if len(claims) == 0 {
			continue
		}
		n := rng.IntN(len(claims))
		o := claims[n]
		if !held(o) {
			continue
		}
		was := map[*op]bool{}
		for _, p := range claims {
			was[p] = held(p)
		}
		claims = append(claims[:n:n], claims[n+1:]...)
		granted := map[*op]bool{}
		for _, p := range table.release(o, nil) {
			granted[p] = true
		}
		for _, p := range claims {
			require.Equal(t, !was[p] && held(p), granted[p])
			require.Equal(t, held(p), p.lock.blockers == 0)
		}
	}
}

func TestExtents(t *testing.T) {
	var e extents
	e.init(10*100+1, 100) // eleven pieces, the last of one byte
	e.add(block.Range{Off: 150, Len: 100})
	e.add(block.Range{Off: 1000, Len: 1})
	e.add(block.Range{Off: 160, Len: 1})
	require.EqualValues(t, 3, e.left)
	require.True(t, e.touches(block.Range{Off: 299, Len: 1}))
	require.False(t, e.touches(block.Range{Off: 300, Len: 700}))
	require.EqualValues(t, 2, e.takeIn(block.Range{Off: 250, Len: 10}))
	require.EqualValues(t, -1, e.takeIn(block.Range{Off: 250, Len: 10}), "it is being done")
	require.True(t, e.touches(block.Range{Off: 250, Len: 10}), "and not done yet")
	require.EqualValues(t, 1, e.takeNext())
	require.EqualValues(t, 10, e.takeNext())
	require.EqualValues(t, -1, e.takeNext())
	require.Equal(t, block.Range{Off: 1000, Len: 1}, e.rangeOf(10))
	e.done(2, true)
	e.done(1, false)
	require.EqualValues(t, 2, e.left)
	require.EqualValues(t, 1, e.takeNext(), "what failed is done again")
	e.done(1, true)
	e.done(10, true)
	require.Zero(t, e.left)
	done, total := e.bytesDone()
	require.Equal(t, total, done)
	e.clear()
	e.done(4, false)
	require.Zero(t, e.left, "a set that was given up stays empty")
}
