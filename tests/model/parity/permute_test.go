package parity

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPermutation_legsAreInterchangeable: renaming the legs first and taking a step then gives the same set of
// states as the other way round, as long as a search goes.
func TestPermutation_legsAreInterchangeable(t *testing.T) {
	m := newMachine(Bounds{Data: 3, Parity: 2, Epochs: 2, Writes: 2, Flushes: 1, Cuts: 1, Removes: 1, Joins: 1,
		Concurrent: true, Full: true}, 0)
	require.Len(t, m.perms, 12)
	successors := func(s state) map[state]bool {
		var x steps
		m.Next(&s, &x)
		out := map[state]bool{}
		for _, n := range x.To {
			m.Normalise(&n)
			out[n] = true
		}
		return out
	}
	for start := range 5 {
		s := m.First()
		for depth := range 14 {
			all := successors(s)
			for i := range m.perms {
				p, ok := m.Renamed(&s, i)
				require.True(t, ok)
				renamed := map[state]bool{}
				for n := range all {
					r, _ := m.Renamed(&n, i)
					renamed[r] = true
				}
				require.Equal(t, len(renamed), len(successors(p)))
				for n := range successors(p) {
					require.True(t, renamed[n], "renaming %d, depth %d", i, depth)
				}
			}
			var x steps
			m.Next(&s, &x)
			s = x.To[(depth*7+start*5)%len(x.To)]
			m.Normalise(&s)
		}
	}
	_, ok := m.Renamed(&state{}, 12)
	require.False(t, ok)
}

// TestTuple: symbols do not touch each other, and what is the sum of two writes is garbage.
func TestTuple(t *testing.T) {
	v := symbol(1, 0) | symbol(2, 1) | symbol(3, 2)
	require.Equal(t, []uint8{1, 2, 3}, []uint8{valueOf(v.at(0)), valueOf(v.at(1)), valueOf(v.at(2))})
	require.True(t, whole(v.at(2)) && whole(0))
	require.False(t, whole((v ^ symbol(1, 2)).at(2)))
	require.Equal(t, symbol(2, 1), v&only(1))
}
