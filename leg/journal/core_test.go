package journal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

func at(number uint64) volume.Transaction { return volume.Transaction{Epoch: 1, Number: number} }

// stageOne stages a record of one block.
func stageOne(t *testing.T, c *journal.Core, number uint64, kind volume.RecordKind, block int64) {
	t.Helper()
	e, err := c.Stage(volume.Record{Transaction: at(number), Kind: kind, FirstBlock: block, Blocks: 1,
		Legs: legs(1)}, []uint32{uint32(number)})
	require.NoError(t, err)
	c.Whole(e.Place)
}

// sealed commits a record whose block was read as one with this checksum, and does not take it home.
func sealed(t *testing.T, c *journal.Core, upTo uint64, block int64, sum uint32) *journal.Commit {
	t.Helper()
	c.Bar(at(upTo))
	x := c.Commit(at(upTo))
	e, err := c.AfterImage(x, block, []uint32{sum})
	require.NoError(t, err)
	c.Whole(e.Place)
	e, err = c.Seal(x)
	require.NoError(t, err)
	c.Whole(e.Place)
	c.Sealed(x)
	return x
}

// A drop of what a commit has not taken home yet leaves nothing of it, also where a record comes meanwhile.
func TestCore_dropOfACommitThatIsNotAtHome(t *testing.T) {
	c := journal.New(80<<10, journal.Head{})
	stageOne(t, c, 1, volume.RecordDelta, 3)
	sealed(t, c, 1, 3, 7)
	c.Bar(at(2))
	h, err := c.PlanDrop(at(2))
	require.NoError(t, err)
	stageOne(t, c, 3, volume.RecordImage, 5)
	content := func() {
		t.Helper()
		require.Empty(t, c.Overlay(nil, 3, 1))
		require.Len(t, c.Overlay(nil, 5, 1), 1, "it came after")
	}
	c.Dropped(h)
	content()
	c.SetHead(h)
	content()
	_, ok, err := c.PlanFree(at(2))
	require.NoError(t, err, "nothing is on its way home any more")
	require.True(t, ok)
}
