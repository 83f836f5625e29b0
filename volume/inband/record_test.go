package inband_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

func rolledBack() []volume.Transaction {
	return []volume.Transaction{{Epoch: 3, Number: 17}, {Epoch: 2, Number: 9}}
}

func recordsPage() inband.RecordsPage {
	return inband.RecordsPage{Next: 0x1200, Records: volume.Records{Floor: volume.Transaction{Epoch: 2, Number: 9},
		Records: []volume.Record{
			{Transaction: volume.Transaction{Epoch: 3, Number: 17}, Kind: volume.RecordDelta, FirstBlock: 0x0102030405,
				Blocks: 2, Legs: []volume.LegID{{UUID: volume.UUID{0: 0xaa}}}},
			{Transaction: volume.Transaction{Epoch: 3, Number: 18}, Kind: volume.RecordImage, FirstBlock: 7, Blocks: 1,
				Legs: []volume.LegID{{UUID: volume.UUID{0: 0xbb}}}, Committed: true},
		}}}
}

// STAGE's list is followed by the payload, of exactly the record's length.
func TestStage_list(t *testing.T) {
	r := recordsPage().Records.Records[0]
	b, err := inband.AppendStage(nil, r)
	require.NoError(t, err)
	require.Equal(t, bytesOf(t, `0001 0000 00000030
		0000000000000003 0000000000000011 0000000102030405 00000002 02 00 01 00
		aa000000000000000000000000000000`), b)
	payload := make([]byte, 2*volume.BlockBytes)
	payload[5] = 7
	whole := append(b, payload...)
	got, rest, err := inband.ParseStage(whole)
	require.NoError(t, err)
	require.Equal(t, r, got)
	require.Equal(t, payload, rest)
	for _, n := range []int{0, 7, 8, 39, 55, 56, 100, len(whole) - 1} {
		_, _, err := inband.ParseStage(whole[:n])
		require.ErrorIs(t, err, inband.ErrLength, "prefix of %d bytes", n)
	}
	_, _, err = inband.ParseStage(append(whole, 0))
	require.ErrorIs(t, err, inband.ErrLength)
	for _, at := range []int{1, 2, 3, 37, 39} {
		bad := append([]byte(nil), whole...)
		bad[at] |= 0x40
		field := (*inband.FieldError)(nil)
		_, _, err := inband.ParseStage(bad)
		require.ErrorAs(t, err, &field, "byte %d", at)
		require.True(t, field.InParameter)
	}
	committed := append([]byte(nil), whole...)
	committed[37] = 1
	_, _, err = inband.ParseStage(committed)
	require.ErrorAs(t, err, new(*inband.FieldError), "nobody stages what is committed")
}

// What no record can be is neither written nor read.
func TestRecord_refusals(t *testing.T) {
	good := recordsPage().Records.Records[0]
	for name, c := range map[string]struct {
		change func(*volume.Record)
		at     int // of STAGE's list
		value  byte
	}{
		"kind":      {func(r *volume.Record) { r.Kind = 3 }, 36, 3},
		"number":    {func(r *volume.Record) { r.Transaction.Number = 0 }, 23, 0},
		"no blocks": {func(r *volume.Record) { r.Blocks = 0 }, 35, 0},
		"the block": {func(r *volume.Record) { r.FirstBlock = -1 }, 24, 0xff},
	} {
		bad := good
		c.change(&bad)
		_, err := inband.AppendStage(nil, bad)
		require.Error(t, err, name)
		b, err := inband.AppendStage(nil, good)
		require.NoError(t, err)
		b[c.at] = c.value
		_, _, err = inband.ParseStage(append(b, make([]byte, 2*volume.BlockBytes)...))
		require.ErrorAs(t, err, new(*inband.FieldError), name)
		page := recordsPage()
		page.Records.Records[1] = bad
		_, err = inband.AppendRecords(nil, page)
		require.Error(t, err, name)
	}
}

func TestRecords_longestPageAndList(t *testing.T) {
	r := recordsPage().Records.Records[1]
	r.Legs = nil
	for i := range volume.MaxInSync {
		r.Legs = append(r.Legs, volume.LegID{UUID: volume.UUID{0: 1, 15: byte(i)}})
	}
	page := inband.RecordsPage{}
	for range inband.MaxPageRecords {
		page.Records.Records = append(page.Records.Records, r)
	}
	b, err := inband.AppendRecords(nil, page)
	require.NoError(t, err)
	require.Len(t, b, inband.RecordsMaxBytes)
	page.Records.Records = append(page.Records.Records, r)
	_, err = inband.AppendRecords(nil, page)
	require.ErrorIs(t, err, inband.ErrLength)
	b, err = inband.AppendStage(nil, r)
	require.NoError(t, err)
	require.Len(t, b, inband.StageMaxBytes)
	b, err = inband.AppendRollback(nil, make([]volume.Transaction, inband.MaxRollback))
	require.NoError(t, err)
	require.Len(t, b, inband.RollbackMaxBytes)
	_, err = inband.AppendRollback(nil, make([]volume.Transaction, inband.MaxRollback+1))
	require.ErrorIs(t, err, inband.ErrLength)
	_, err = inband.AppendRollback(nil, nil)
	require.ErrorIs(t, err, inband.ErrLength)
}
