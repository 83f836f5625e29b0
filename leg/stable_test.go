package leg

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// I17: the data is synced while the stamps of a CONFIG are on their way. The mark stays until they are durable:
// a mark that is gone says nothing of a version that is too low.
//
// The random test needs thousands of lives for this one, so the rule is broken here.
func TestStable_waitsForStamps(t *testing.T) {
	for _, broken := range []Rules{0, BreakClearUnstamped} {
		c, id := bigCore(t, 1)
		c.broken = broken
		c.Mark(3, id, block.Range{Len: volume.BlockBytes})
		settleDisk(t, c)
		gen, err := c.Rotate(id)
		require.NoError(t, err)
		c.Mark(4, id, block.Range{Off: 9 * volume.RegionBytes, Len: volume.BlockBytes})
		slow := c.Effects()
		require.Len(t, slow, 1, "the mark of another region is on its way, slowly")
		c.Config(5, id, 1, volume.Config{CfgVer: 2, InSync: []volume.LegID{c.label.LegID}})
		c.Stable(6, id, gen)
		effects := c.Effects()
		i := slices.IndexFunc(effects, func(e Effect) bool { return e.Kind == EffectSync })
		require.GreaterOrEqual(t, i, 0)
		c.Synced(effects[i].Op, nil)
		require.Equal(t, broken == 0, c.regions.Marked(0), "the stamp is in memory only")
		c.Persisted(slow[0].Label, nil)
		settleDisk(t, c)
		require.False(t, c.regions.Marked(0))
		require.True(t, c.regions.Marked(9))
	}
}

// ADOPT asks whether its region is marked; a STABLE that clears it before the gate opens makes what is there
// corrupt, and no mark of the ADOPT's own makes it less so.
func TestMark_forWhatHasToBeMarkedAlready(t *testing.T) {
	c, id := bigCore(t, 1)
	r := block.Range{Len: volume.BlockBytes}
	allowed := func() error {
		if c.marked(r) {
			return nil
		}
		return ErrInvalid
	}
	c.Mark(3, id, r)
	settleDisk(t, c)
	c.markIf(allowed, 4, id, r)
	settleDisk(t, c)
	gen, err := c.Rotate(id)
	require.NoError(t, err)
	c.Stable(5, id, gen)
	settleDisk(t, c)
	c.markIf(allowed, 6, id, r)
	effects := c.Effects()
	require.Len(t, effects, 1)
	require.ErrorIs(t, effects[0].Err, ErrInvalid)
	require.False(t, c.label.Marked)
}
