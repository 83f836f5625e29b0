package mirror

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// TestReconcile_aroundBadBlocks: each leg has a block of the marked extent that it cannot read, so
// neither can give its checksums. What can be read is made equal all the same, or two reads of it
// could differ; a bad block is healed from the other leg, and one that is bad on both is left.
func TestReconcile_aroundBadBlocks(t *testing.T) {
	s := &script{}
	s.begin([]string{"a", "b"}, nil, nil, nil)
	s.serve([]string{"a", "b"}, []string{"0"})
	content := map[string][]uint32{"a": make([]uint32, 16), "b": make([]uint32, 16)}
	bad := map[string][]int64{"a": {3, 9}, "b": {7, 9}}
	content["a"][5], content["b"][11], content["b"][3], content["a"][7] = 50, 110, 30, 70
	unreadable := func(leg string, r block.Range) bool {
		return slices.ContainsFunc(bad[leg], func(b int64) bool {
			return r.Overlaps(block.Range{Off: b * BlockBytes, Len: BlockBytes})
		})
	}
	var values []uint32 // of the run that is being copied
	for steps := 0; len(s.pending) > 0 && steps < 1000; steps++ {
		for name, x := range s.pending {
			leg := s.names[x.Leg]
			at, n := x.Range.Off/BlockBytes, x.Range.Len/BlockBytes
			switch {
			case x.Kind == EffectCall && x.Command.Kind == CommandSums:
				r := x.Command.Range
				if unreadable(leg, r) {
					s.reply(name, block.ErrMedium, Reply{})
				} else {
					s.reply(name, nil, Reply{Sums: slices.Clone(content[leg][r.Off/BlockBytes:][:r.Len/BlockBytes])})
				}
			case x.Op == block.OpRead && unreadable(leg, x.Range):
				s.reply(name, block.ErrMedium, Reply{})
			case x.Op == block.OpRead:
				values = slices.Clone(content[leg][at:][:n])
				s.reply(name, nil, Reply{})
			case x.Op == block.OpWrite:
				copy(content[leg][at:], values)
				bad[leg] = slices.DeleteFunc(bad[leg], func(b int64) bool { return b >= at && b < at+n })
				s.reply(name, nil, Reply{})
			default:
				s.reply(name, nil, Reply{})
			}
			break
		}
	}
	require.Zero(t, s.core.reconcile.set.left)
	require.Equal(t, content["a"], content["b"])
	require.Equal(t, map[string][]int64{"a": {9}, "b": {9}}, bad)
	require.Equal(t, uint32(30), content["a"][3], "the bad block is taken from where it can be read")
	require.Equal(t, uint32(70), content["b"][7])
}
