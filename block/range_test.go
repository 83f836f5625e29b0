package block_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

func TestRange_overlapAndIntersection(t *testing.T) {
	for _, c := range []struct {
		a, b     block.Range
		overlaps bool
		shared   block.Range
	}{
		{block.Range{Off: 0, Len: 10}, block.Range{Off: 5, Len: 10}, true, block.Range{Off: 5, Len: 5}},
		{block.Range{Off: 0, Len: 10}, block.Range{Off: 2, Len: 3}, true, block.Range{Off: 2, Len: 3}},
		{block.Range{Off: 0, Len: 10}, block.Range{Off: 10, Len: 5}, false, block.Range{Off: 10}},
		{block.Range{Off: 0, Len: 10}, block.Range{Off: 20, Len: 5}, false, block.Range{Off: 20}},
		{block.Range{Off: 0, Len: 10}, block.Range{Off: 5}, false, block.Range{Off: 5}},
	} {
		require.Equal(t, c.overlaps, c.a.Overlaps(c.b), "%s and %s", c.a, c.b)
		require.Equal(t, c.overlaps, c.b.Overlaps(c.a), "%s and %s", c.b, c.a)
		require.Equal(t, c.shared, c.a.Intersect(c.b), "%s and %s", c.a, c.b)
		require.Equal(t, c.shared, c.b.Intersect(c.a), "%s and %s", c.b, c.a)
	}
}

func TestRange_withinDoesNotOverflow(t *testing.T) {
	for _, c := range []struct {
		r    block.Range
		size int64
		want bool
	}{
		{block.Range{Off: 0, Len: 4096}, 4096, true},
		{block.Range{Off: 4096}, 4096, true},
		{block.Range{Off: 1, Len: 4096}, 4096, false},
		{block.Range{Off: 4097}, 4096, false},
		{block.Range{Off: -1, Len: 1}, 4096, false},
		{block.Range{Off: 0, Len: -1}, 4096, false},
		{block.Range{Off: math.MaxInt64, Len: math.MaxInt64}, 4096, false},
		{block.Range{Off: 1, Len: math.MaxInt64}, math.MaxInt64, false},
	} {
		require.Equal(t, c.want, c.r.Within(c.size), "%s in %d", c.r, c.size)
	}
}

func TestRange_alignment(t *testing.T) {
	for _, c := range []struct {
		r, out  block.Range
		aligned bool
	}{
		{block.Range{Off: 0, Len: 4096}, block.Range{Off: 0, Len: 4096}, true},
		{block.Range{Off: 1, Len: 1}, block.Range{Off: 0, Len: 4096}, false},
		{block.Range{Off: 4095, Len: 2}, block.Range{Off: 0, Len: 8192}, false},
		{block.Range{Off: 4096, Len: 1}, block.Range{Off: 4096, Len: 4096}, false},
		{block.Range{Off: 5}, block.Range{Off: 5}, false},
	} {
		require.Equal(t, c.out, c.r.AlignOut(4096), c.r.String())
		require.Equal(t, c.aligned, c.r.Aligned(4096), c.r.String())
	}
}

func TestLimits_check(t *testing.T) {
	limits := block.Limits{SizeBytes: 8192, BlockBytes: 512}
	readOnly := block.Limits{SizeBytes: 8192, BlockBytes: 512, ReadOnly: true}
	for _, c := range []struct {
		limits block.Limits
		op     block.Op
		r      block.Range
		want   error
	}{
		{limits, block.OpRead, block.Range{Off: 512, Len: 512}, nil},
		{limits, block.OpWrite, block.Range{Off: 0, Len: 8192}, nil},
		{limits, block.OpFlush, block.Range{Off: 99999, Len: 3}, nil},
		{limits, block.OpRead, block.Range{Off: 8192, Len: 512}, block.ErrOutOfRange},
		{limits, block.OpZero, block.Range{Off: 1, Len: 512}, block.ErrMisaligned},
		{limits, block.OpWrite, block.Range{Off: 0, Len: 100}, block.ErrMisaligned},
		{limits, block.OpWrite, block.Range{Off: 8191, Len: 100}, block.ErrOutOfRange},
		{readOnly, block.OpRead, block.Range{Off: 0, Len: 512}, nil},
		{readOnly, block.OpFlush, block.Range{}, nil},
		{readOnly, block.OpWrite, block.Range{Off: 0, Len: 512}, block.ErrReadOnly},
		{readOnly, block.OpZero, block.Range{Off: 0, Len: 512}, block.ErrReadOnly},
	} {
		require.ErrorIs(t, c.limits.Check(c.op, c.r, 0), c.want, "%s %s", c.op, c.r)
	}
}
