package mirror

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// coreOf makes a core with legs in these slots, all known to be in sync.
func coreOf(t *testing.T, l volume.Layout, slots ...int) *Core {
	t.Helper()
	c, err := NewCore(CoreOptions{Epoch: 1, SizeBytes: 1 << 20})
	require.NoError(t, err)
	c.opts.Layout = l // NewCore refuses what is not served yet; what is decided must be right all the same
	for i, slot := range slots {
		c.legs[i].info.Slot = slot
		c.kisr = c.kisr.with(LegIndex(i))
	}
	return c
}

// Which legs are enough is decided by their slots: one copy of a mirror, k parts of parity.
func TestCore_enough(t *testing.T) {
	for _, tc := range []struct {
		layout volume.Layout
		slots  []int
		lost   []LegIndex
		gone   bool // too few kept their cache
	}{
		{volume.Mirror(2), []int{0, 1}, nil, false},
		{volume.Mirror(2), []int{0, 1}, []LegIndex{0}, false},
		{volume.Mirror(2), []int{0, 0}, []LegIndex{1}, false},
		{volume.Mirror(2), []int{0, 1}, []LegIndex{0, 1}, true},
		{volume.Parity(2, 1), []int{0, 1, 2}, []LegIndex{1}, false},
		{volume.Parity(2, 1), []int{0, 1, 2}, []LegIndex{1, 2}, true},
		{volume.Parity(2, 1), []int{0, 0, 1}, []LegIndex{2}, true}, // two legs, one part
		{volume.Parity(2, 1), []int{0, 0, 1}, []LegIndex{0}, false},
		{volume.Parity(4, 2), []int{0, 1, 2, 3, 4, 5}, []LegIndex{0, 5}, false},
		{volume.Parity(4, 2), []int{0, 1, 2, 3, 4, 5}, []LegIndex{0, 3, 5}, true},
	} {
		c := coreOf(t, tc.layout, tc.slots...)
		for _, i := range tc.lost {
			c.legs[i].lost = true
		}
		require.Equal(t, tc.gone, c.cacheLost(), "%s slots %v lost %v", tc.layout, tc.slots, tc.lost)
		require.Equal(t, tc.gone, c.allLost(c.kisr), "%s slots %v lost %v", tc.layout, tc.slots, tc.lost)
	}
	require.False(t, coreOf(t, volume.Mirror(2)).cacheLost(), "nothing is known yet")
}

// A set never shrinks to legs that are not enough, however many there are.
func TestCore_removableAsksTheLayout(t *testing.T) {
	for _, tc := range []struct {
		layout volume.Layout
		slots  []int
		away   int // leg that does not answer
		want   []bool
	}{
		{volume.Mirror(2), []int{0, 1}, -1, []bool{true, true}},
		{volume.Mirror(2), []int{0, 1}, 1, []bool{false, true}},
		{volume.Mirror(3), []int{0, 1, 2}, 1, []bool{true, true, true}},
		{volume.Parity(2, 1), []int{0, 1, 2}, -1, []bool{true, true, true}},
		{volume.Parity(2, 1), []int{0, 1, 2}, 1, []bool{false, true, false}},
		{volume.Parity(2, 1), []int{0, 0, 1}, -1, []bool{true, true, false}}, // a leg and its replacement
	} {
		c := coreOf(t, tc.layout, tc.slots...)
		for i := range tc.slots {
			c.legs[i].state, c.legs[i].up = LegInSync, i != tc.away
		}
		c.ack = c.kisr
		for i, want := range tc.want {
			require.Equal(t, want, c.removable(LegIndex(i)), "%s slots %v, %d away: leg %d", tc.layout, tc.slots,
				tc.away, i)
		}
	}
}

func TestNewCore_refusesLayoutsThatCannotBe(t *testing.T) {
	_, err := NewCore(CoreOptions{Epoch: 1, SizeBytes: 1 << 20, Layout: volume.Parity(4, 7)})
	require.ErrorContains(t, err, "1 to 3 parity legs")
}

func BenchmarkEnough(b *testing.B) {
	c, err := NewCore(CoreOptions{Epoch: 1, SizeBytes: 1 << 20})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		c.enough(0b111)
	}
}
