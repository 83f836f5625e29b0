package leg

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// bigCore is the core of a leg of so many TiB, with a session that was configured with version 1.
func bigCore(t *testing.T, tebibytes int64) (*Core, SessionID) {
	t.Helper()
	label := volume.Label{LegID: volume.LegID{UUID: scriptUUID(1)}, SizeBytes: tebibytes << 40}
	c := NewCore(CoreOptions{Label: label, Regions: NewRegions(label.LegID, label.SizeBytes),
		Boot: scriptUUID(1), Instance: 7})
	id := c.Login(1, Login{Epoch: 1, Attach: volume.AttachID{UUID: scriptUUID(1)}})
	settleDisk(t, c)
	c.Config(2, id, 1, volume.Config{CfgVer: 1, InSync: []volume.LegID{label.LegID}})
	settleDisk(t, c)
	return c, id
}

// settleDisk does all that the core asks of a disk that never fails; it returns how many writes it took.
func settleDisk(t *testing.T, c *Core) (writes int) {
	t.Helper()
	for {
		effects := c.Effects()
		if len(effects) == 0 {
			return writes
		}
		for _, e := range effects {
			switch e.Kind {
			case EffectPersist:
				require.LessOrEqual(t, len(e.Sectors), maxPersistSectors)
				writes++
				c.Persisted(e.Label, nil)
			case EffectSync:
				c.Synced(e.Op, nil)
			case EffectReply:
				require.NoError(t, e.Err)
			}
		}
	}
}

// Every page is bounded in what it looks at and in what it says, and together they say all.
func TestPages_sayAll(t *testing.T) {
	c, id := bigCore(t, 3)
	want := map[uint32]volume.CfgVer{}
	mark := func(first, count, step uint32) {
		for i := first; i < first+count; i += step {
			c.regions.marks.set(i)
			c.regions.versions[i] = volume.CfgVer(2 + i%2)
			want[i] = c.regions.versions[i]
		}
	}
	mark(0, 3*inband.MaxRuns, 2)    // more runs than a page holds
	mark(2_000_000, 10_000, 1)      // far behind a page's end, with a version that changes each time
	mark(c.regions.Count()-1, 1, 1) // the last one
	mark(maxPageRegions-1, 2, 1)    // across a page's end
	gotMarks, gotVersions := map[uint32]bool{}, map[uint32]volume.CfgVer{}
	for first := uint32(0); first < c.regions.Count(); {
		page, err := c.Marks(id, 2, first)
		require.NoError(t, err)
		_, err = inband.AppendMarks(nil, page)
		require.NoError(t, err)
		require.Greater(t, page.Next, first)
		require.LessOrEqual(t, page.Next, first+maxPageRegions)
		for _, run := range page.Runs {
			for i := run.First; i < run.First+run.Count; i++ {
				require.Equal(t, run.Newer, want[i] > 2)
				gotMarks[i] = run.Marked
			}
		}
		first = page.Next
	}
	for first := uint32(0); first < c.regions.Count(); {
		page, err := c.Versions(id, 2, first)
		require.NoError(t, err)
		_, err = inband.AppendVersions(nil, page)
		require.NoError(t, err)
		require.Greater(t, page.Next, first)
		for _, run := range page.Runs {
			for i := run.First; i < run.First+run.Count; i++ {
				gotVersions[i] = run.Version
			}
		}
		first = page.Next
	}
	require.Len(t, gotMarks, len(want))
	for i, v := range want {
		require.True(t, gotMarks[i])
		if v <= 2 {
			delete(want, i)
		}
	}
	require.Equal(t, want, gotVersions)
	past, err := c.Marks(id, 0, c.regions.Count()+5)
	require.NoError(t, err)
	require.Empty(t, past.Runs)
}

// A zero over 100 GiB is one write of the region file; one over the whole leg goes in bounded pieces.
func TestMark_wideRangesGoTogether(t *testing.T) {
	c, id := bigCore(t, 2)
	c.Mark(10, id, block.Range{Off: 5, Len: 100 << 30})
	require.Equal(t, 1, settleDisk(t, c))
	_, verdict, err := c.Enter(id, true, block.Range{Off: 5, Len: 100 << 30})
	require.NoError(t, err)
	require.Equal(t, Admit, verdict)
	all := block.Range{Len: 2 << 40}
	c.Mark(11, id, all)
	require.Equal(t, 16, settleDisk(t, c), "31664 sectors of versions and 492 of marks are not there yet")
	ticket, verdict, err := c.Enter(id, true, all)
	require.NoError(t, err)
	require.Equal(t, Admit, verdict)
	c.Leave(ticket)
}

// BenchmarkCore_write is what marks cost a write of a leg of 4 TiB whose region is marked.
func BenchmarkCore_write(b *testing.B) {
	t := &testing.T{}
	c, id := bigCore(t, 4)
	r := block.Range{Off: 3 << 40, Len: 4096}
	c.Mark(10, id, r)
	settleDisk(t, c)
	b.ReportAllocs()
	for b.Loop() {
		ticket, _, _ := c.Enter(id, true, r)
		c.Leave(ticket)
	}
}

// BenchmarkCore_window is ROTATE and STABLE of a leg of 4 TiB with a thousand regions in a window.
func BenchmarkCore_window(b *testing.B) {
	t := &testing.T{}
	c, id := bigCore(t, 4)
	op := OpID(10)
	for b.Loop() {
		for i := range int64(1000) {
			op++
			c.Mark(op, id, block.Range{Off: i << 30, Len: 4096})
		}
		settleDisk(t, c)
		gen, _ := c.Rotate(id)
		op++
		c.Stable(op, id, gen)
		settleDisk(t, c)
	}
}
