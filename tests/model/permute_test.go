package model

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPermutation_legsAreInterchangeable: renaming the legs first and taking a step then gives the
// same set of states as the other way round, as long as a search goes.
func TestPermutation_legsAreInterchangeable(t *testing.T) {
	m := newMachine(Bounds{Legs: 3, Epochs: 2, Writes: 1, MaxCfg: 3, Flushes: 1, Cuts: 1}, 0)
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
	level := []state{m.First()}
	for depth := 0; depth < 12; depth++ {
		s := level[depth*7%len(level)]
		level = level[:0]
		for n := range successors(s) {
			level = append(level, n)
		}
		for _, p := range permutations(m.Legs) {
			renamed := map[state]bool{}
			for n := range successors(s) {
				renamed[p.apply(&n)] = true
			}
			require.Equal(t, renamed, successors(p.apply(&s)))
		}
	}
}
