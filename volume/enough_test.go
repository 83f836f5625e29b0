package volume

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLayout_enough(t *testing.T) {
	for _, c := range []struct {
		layout string
		slots  []int
		worth  int
		enough bool
	}{
		{"mirror=1", nil, 0, false},
		{"mirror=1", []int{0}, 1, true},
		{"mirror=2", []int{1}, 1, true},
		{"mirror=2", []int{0, 0}, 2, true}, // a leg and its replacement are two copies
		{"mirror=3", []int{0, 1, 2, 2}, 4, true},
		{"parity=2+1", nil, 0, false},
		{"parity=2+1", []int{0}, 1, false},
		{"parity=2+1", []int{1, 1}, 1, false}, // a leg and its replacement are one part
		{"parity=2+1", []int{1, 1, 2}, 2, true},
		{"parity=2+1", []int{2, 0}, 2, true},
		{"parity=4+2", []int{0, 1, 2, 2, 1, 0}, 3, false},
		{"parity=4+2", []int{5, 4, 3, 0}, 4, true},
		{"parity=4+2", []int{-1, 6, 99, 3, 2, 1}, 3, false}, // what is no slot is no part
		{"parity=8+3", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 11, true},
	} {
		l, err := ParseLayout(c.layout)
		require.NoError(t, err)
		require.Equal(t, c.worth, l.Worth(c.slots), "%s %v", c.layout, c.slots)
		require.Equal(t, c.enough, l.Enough(c.slots), "%s %v", c.layout, c.slots)
	}
	require.False(t, Layout{}.Enough([]int{0, 1}), "nothing is enough for a layout that is not known")
	// Rows that cannot be, from a state that somebody damaged: it answers all the same.
	require.False(t, Layout{Kind: KindParity, Data: 100, Extra: 100}.Enough([]int{0, 50, 199}))
}

// TestLayout_enoughForAll: for every layout and every set of slots, once or twice each, the decision is that K
// different slots of parity, or one leg of a mirror, are needed.
func TestLayout_enoughForAll(t *testing.T) {
	for k := 2; k <= MaxDataLegs; k++ {
		for m := 1; m <= MaxParityLegs; m++ {
			l := Parity(k, m)
			for set := range 1 << l.Legs() {
				var once, twice []int
				for slot := range l.Legs() {
					if set&(1<<slot) != 0 {
						once, twice = append(once, slot), append(twice, slot, slot)
					}
				}
				want := bits.OnesCount(uint(set)) >= k
				if l.Enough(once) != want || l.Enough(twice) != want {
					t.Fatalf("%s with slots %v: enough %v, twice %v, want %v", l, once, l.Enough(once),
						l.Enough(twice), want)
				}
			}
		}
	}
	for n := 1; n <= MaxMirrorLegs; n++ {
		for slot := range n {
			require.True(t, Mirror(n).Enough([]int{slot}), "mirror=%d, slot %d", n, slot)
		}
		require.False(t, Mirror(n).Enough(nil))
	}
}
