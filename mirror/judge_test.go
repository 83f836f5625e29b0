package mirror

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMajority: more than half of the legs that have a block whole, or nobody.
func TestMajority(t *testing.T) {
	for _, x := range []struct {
		name  string
		sums  []uint32 // of one block, by leg
		bad   legSet
		right legSet
	}{
		{"all equal", []uint32{7, 7, 7}, 0, 0b111},
		{"one differs", []uint32{7, 9, 7}, 0, 0b101},
		{"two against one, the one first", []uint32{9, 7, 7}, 0, 0b110},
		{"two legs that differ", []uint32{7, 9}, 0, 0},
		{"each another", []uint32{7, 8, 9}, 0, 0},
		{"half is not more than half", []uint32{7, 7, 9, 9}, 0, 0},
		{"two of four, the others differ", []uint32{7, 7, 8, 9}, 0, 0},
		{"three of five", []uint32{8, 7, 7, 9, 7}, 0, 0b10110},
		{"one whole", []uint32{7, 9}, 0b01, 0b10},
		{"a bad leg does not vote", []uint32{7, 7, 9}, 0b001, 0},
		{"none whole", []uint32{7, 7}, 0b11, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			o := &op{copy: copyJob{kind: copyScrub, need: 1<<len(x.sums) - 1, buf: &copyBuffers{
				blocks: []blockState{{bad: x.bad}}}}}
			for i, sum := range x.sums {
				o.copy.buf.sums[i] = []uint32{sum}
			}
			(&Core{}).judge(o, 0)
			b := o.copy.buf.blocks[0]
			require.Equal(t, x.right, b.right)
			if x.right == 0 {
				require.Zero(t, b.lacks, "nothing is changed")
			} else {
				require.Equal(t, o.copy.need&^x.right, b.lacks)
			}
		})
	}
}

// TestRun: a run ends where no leg can give all of it, and before a gap that is too long.
func TestRun(t *testing.T) {
	const a, b, both = legSet(1), legSet(2), legSet(3)
	state := func(right legSet, lacks bool) blockState {
		s := blockState{right: right}
		if lacks {
			s.lacks = 4
		}
		return s
	}
	gap := func(n int) (list []blockState) {
		for range n {
			list = append(list, state(both, false))
		}
		return append(list, state(both, true))
	}
	lacking := state(both, true)
	for _, x := range []struct {
		name   string
		blocks []blockState
		n      int
		from   legSet
	}{
		{"one", []blockState{lacking}, 1, both},
		{"equal blocks behind it are left out", []blockState{lacking, state(a, false)}, 1, both},
		{"one leg can give both", []blockState{lacking, state(b, true)}, 2, b},
		{"no leg can give both", []blockState{state(a, true), state(b, true)}, 1, a},
		{"nobody can give the next", []blockState{lacking, {bad: both}, lacking}, 1, both},
		{"over a gap", append([]blockState{lacking}, gap(mergeBlocks-1)...), mergeBlocks + 1, both},
		{"not over a longer one", append([]blockState{lacking}, gap(mergeBlocks)...), 1, both},
	} {
		t.Run(x.name, func(t *testing.T) {
			n, from := (&copyJob{buf: &copyBuffers{blocks: x.blocks}}).run()
			require.Equal(t, x.n, n)
			require.Equal(t, x.from, from)
		})
	}
}
