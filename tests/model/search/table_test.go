package search

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable_pathLeadsBackToTheRoot(t *testing.T) {
	tb := newTable(tableBitsMin)
	root, fresh := tb.insert(10, 0)
	require.True(t, fresh)
	a, _ := tb.insert(20, root)
	b, _ := tb.insert(20+1<<tableBitsMin, a) // the same place as 20: the next one is taken
	require.NotEqual(t, a, b)
	again, fresh := tb.insert(20+1<<tableBitsMin, root)
	require.False(t, fresh)
	require.Equal(t, b, again)
	require.Equal(t, []uint64{20, 20 + 1<<tableBitsMin, 99}, tb.path(root, b, 99))
	require.Equal(t, 3, tb.len())
}
