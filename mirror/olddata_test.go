package mirror

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestOldData: it never has more than its bounds, never two entries of one block, and gives back every handle.
func TestOldData(t *testing.T) {
	c, err := NewCore(CoreOptions{Epoch: 1, SizeBytes: 1 << 30, Layout: volume.Parity(2, 1)})
	require.NoError(t, err)
	var d oldData
	at := func(first, n int64) block.Range { return block.Range{Off: first * BlockBytes, Len: n * BlockBytes} }
	released := func() (n int) {
		for _, x := range c.out {
			if x.Kind == EffectRelease {
				n++
			}
		}
		c.out = nil
		return n
	}
	d.keep(c, at(4, 4), "x")
	data, _ := d.take(at(3, 2))
	require.Nil(t, data, "a part of it is not known")
	data, from := d.take(at(5, 2))
	require.Equal(t, "x", data)
	require.EqualValues(t, BlockBytes, from)
	data, _ = d.take(at(5, 2))
	require.Nil(t, data, "it was taken")

	for i := range int64(2 * oldEntries) {
		d.keep(c, at(2*i, 1), i)
	}
	require.Len(t, d.list, oldEntries)
	require.Equal(t, oldEntries, released())
	d.drop(c, at(0, 4*oldEntries))
	require.Empty(t, d.list)
	require.Zero(t, d.bytes)
	require.Equal(t, oldEntries, released())
	const chunk = 64 << 10
	for i := range int64(2 * oldBytes / chunk) {
		d.keep(c, block.Range{Off: i * chunk, Len: chunk}, i)
	}
	require.EqualValues(t, oldBytes, d.bytes)
}

// TestRoom: what is freed is room again, but for what a leg that left had.
func TestRoom(t *testing.T) {
	r := room{most: 100}
	require.True(t, r.has(1000), "one that never finds room goes alone")
	r.use(1, 40, only(0)|only(1))
	r.use(2, 30, only(1)|only(2))
	require.False(t, r.has(40))
	require.True(t, r.has(30))
	require.True(t, r.isHalf())
	r.gone(1)
	require.EqualValues(t, 40, r.fullest())
	r.use(3, 50, only(1))
	r.free(2)
	require.EqualValues(t, 50, r.fullest(), "leg 1 came back, and what it had before does not count")
	r.free(3)
	require.Zero(t, r.fullest())
	require.Empty(t, r.list)
}
