package leg

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChooseSlot_table(t *testing.T) {
	for _, c := range []struct {
		a, b       slotState
		seqA, seqB uint64
		want       int
		refused    string
	}{
		{slotGood, slotGood, 1, 2, 1, ""},
		{slotGood, slotGood, 3, 2, 0, ""},
		{slotGood, slotCorrupt, 1, 0, 0, ""},
		{slotCorrupt, slotGood, 0, 1, 1, ""},
		{slotCorrupt, slotCorrupt, 0, 0, 0, "both slots"},
		{slotNewer, slotGood, 0, 9, 0, "newer than this program"},
		{slotGood, slotNewer, 9, 0, 0, "newer than this program"},
		{slotNewer, slotNewer, 0, 0, 0, "newer than this program"},
		{slotNewer, slotCorrupt, 0, 0, 0, "newer than this program"},
		{slotCorrupt, slotNewer, 0, 0, 0, "newer than this program"},
	} {
		slot, err := chooseSlot([2]slotState{c.a, c.b}, [2]uint64{c.seqA, c.seqB})
		if c.refused != "" {
			require.ErrorContains(t, err, c.refused)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, slot, "%+v", c)
	}
}
