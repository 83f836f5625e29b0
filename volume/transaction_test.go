package volume_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

func TestTransaction_order(t *testing.T) {
	list := []volume.Transaction{{}, {Epoch: 1}, {Epoch: 1, Number: 2}, {Epoch: 1, Number: 3}, {Epoch: 2, Number: 1}}
	for i, a := range list {
		for j, b := range list {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			require.Equal(t, want, a.Compare(b), "%s %s", a, b)
		}
	}
	require.Equal(t, "e1.3", list[3].String())
}

func TestRecord_check(t *testing.T) {
	good := volume.Record{Transaction: volume.Transaction{Epoch: 1, Number: 1}, Kind: volume.RecordImage,
		FirstBlock: 3, Blocks: volume.MaxRecordBlocks,
		Legs: []volume.LegID{{UUID: volume.UUID{1: 1}}, {UUID: volume.UUID{1: 2}}}}
	require.NoError(t, good.Check())
	for want, change := range map[string]func(*volume.Record){
		"begin at 1":   func(r *volume.Record) { r.Transaction.Number = 0 },
		"begin at":     func(r *volume.Record) { r.Transaction.Epoch = 0 },
		"kind 3":       func(r *volume.Record) { r.Kind = 3 },
		"0 blocks":     func(r *volume.Record) { r.Blocks = 0 },
		"257 blocks":   func(r *volume.Record) { r.Blocks = 257 },
		"on no leg":    func(r *volume.Record) { r.FirstBlock = -1 },
		"are on no":    func(r *volume.Record) { r.FirstBlock = volume.MaxSizeBytes / volume.BlockBytes },
		"names 0 legs": func(r *volume.Record) { r.Legs = nil },
		"names 17":     func(r *volume.Record) { r.Legs = make([]volume.LegID, 17) },
		"twice":        func(r *volume.Record) { r.Legs = []volume.LegID{r.Legs[0], r.Legs[0]} },
		"no leg":       func(r *volume.Record) { r.Legs = []volume.LegID{{}} },
	} {
		bad := good
		change(&bad)
		require.ErrorContains(t, bad.Check(), want)
	}
}

func TestLayout_journal(t *testing.T) {
	require.Zero(t, volume.Mirror(2).JournalBytes(1<<40))
	for _, c := range []struct {
		layout string
		size   int64
		want   int64
	}{
		{"parity=4+2", 1 << 40, 64<<20 + 8192},
		{"parity=2+1", 256 << 20, 16<<20 + 8192},
		{"parity=2+1,chunk=4K", 8192, 72<<10 + 8192}, // 16 records of a block and its head
		{"parity=8+3,chunk=1M", 8 << 20, 16*(1<<20+1536) + 8192},
	} {
		l, err := volume.ParseLayout(c.layout)
		require.NoError(t, err)
		require.Equal(t, c.want, l.JournalBytes(c.size), "%s of %d", c.layout, c.size)
		longest := volume.RecordBytes(l.Chunk/volume.BlockBytes, volume.MaxInSync)
		require.GreaterOrEqual(t, l.JournalRoom(c.size), 3*longest, "writes get on")
		require.LessOrEqual(t, 5*l.JournalRoom(c.size), c.want-volume.JournalHeadBytes)
	}
	require.EqualValues(t, 512+4096, volume.RecordBytes(1, 11))
	require.EqualValues(t, 1536+1<<20, volume.RecordBytes(256, 11))
}
