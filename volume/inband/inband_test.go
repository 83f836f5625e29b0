package inband_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// commands are CDBs as docs/protocol.md lays them out.
var commands = []struct {
	command inband.Command
	cdb     string
	dataIn  int
}{
	{inband.ReadLabel{}, "c001 0000000000000000 00000238 0000", 568},
	{inband.Config{ParamBytes: 64}, "c002 0000000000000000 00000040 0000", 0},
	{inband.Rotate{}, "c003 0000000000000000 00000018 0000", 24},
	{inband.Stable{Generation: 0x0102030405060708}, "c004 0102030405060708 00000010 0000", 16},
	{inband.Marks{Since: 1<<32 | 5, FirstRegion: 77}, "c005 0000000100000005 0000004d 0000", 49176},
	{inband.Checksums{FirstBlock: 0x1122334455, Blocks: 4096}, "c006 0000001122334455 00001000 0000", 16904},
	{inband.Checksums{FirstBlock: 5, Blocks: 9, Medium: true}, "c006 8000000000000005 00000009 0000", 46},
	{inband.Detach{Clean: true}, "c007 0000000000000001 00000010 0000", 16},
	{inband.Detach{}, "c007 0000000000000000 00000010 0000", 16},
	{inband.Versions{Since: 1<<32 | 5, FirstRegion: 78}, "c008 0000000100000005 0000004e 0000", 65560},
	{inband.Stamp{ParamBytes: 40}, "c009 0000000000000000 00000028 0000", 0},
	{inband.Adopt{FirstBlock: 0x1122334455, Blocks: 4096}, "c00a 0000001122334455 00001000 0000", 0},
	{inband.Stage{ParamBytes: 72, Blocks: 256}, "c010 0000000000000100 00000048 0000", 0},
	{inband.Commit{}, "c012 0000000000000000 00000018 0000", 0},
	{inband.Free{}, "c013 0000000000000000 00000018 0000", 0},
	{inband.Records{From: 0x0102030405060708}, "c014 0102030405060708 0000e128 0000", 57640},
	{inband.Rollback{ParamBytes: 40}, "c015 0000000000000000 00000028 0000", 0},
	{inband.Drop{}, "c016 0000000000000000 00000018 0000", 0},
}

func bytesOf(t testing.TB, text string) []byte {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(text))
	require.NoError(t, err)
	return b
}

func TestCDB(t *testing.T) {
	for _, c := range commands {
		want := bytesOf(t, c.cdb)
		got := c.command.CDB()
		require.Equal(t, want, got[:], "%v", c.command)
		parsed, err := inband.Parse(want)
		require.NoError(t, err)
		require.Equal(t, c.command, parsed)
		require.Equal(t, c.dataIn, c.command.DataInBytes())
		require.NotContains(t, c.command.Action().String(), "unknown")
		for n := range want {
			_, err := inband.Parse(want[:n])
			require.Error(t, err, "prefix of %d bytes", n)
		}
		for _, reserved := range []int{14, 15} {
			bad := append([]byte(nil), want...)
			bad[reserved] = 1
			field := (*inband.FieldError)(nil)
			_, err := inband.Parse(bad)
			require.ErrorAs(t, err, &field)
			require.Equal(t, reserved, field.Byte)
		}
	}
	for _, c := range commands {
		want := int64(0)
		switch c := c.command.(type) {
		case inband.Config:
			want = int64(c.ParamBytes)
		case inband.Stamp:
			want = int64(c.ParamBytes)
		case inband.Rollback:
			want = int64(c.ParamBytes)
		case inband.Stage:
			want = 72 + 256*4096
		case inband.Commit, inband.Free, inband.Drop:
			want = 24
		}
		require.Equal(t, want, inband.DataOutBytes(bytesOf(t, c.cdb)), "%v", c.command)
	}
	require.Zero(t, inband.DataOutBytes(nil))
}

func TestParse_refusals(t *testing.T) {
	_, err := inband.Parse(bytesOf(t, "12000000000000000000000000000000"))
	require.ErrorIs(t, err, inband.ErrOpCode)
	for name, c := range map[string]struct {
		cdb string
		at  int
	}{
		"no action":             {"c000 0000000000000000 00000000 0000", 1},
		"unknown action":        {"c00b 0000000000000000 00000000 0000", 1},
		"behind the actions":    {"c017 0000000000000000 00000018 0000", 1},
		"kept for deltas":       {"c011 0000000000000001 00000048 0000", 1},
		"stage of nothing":      {"c010 0000000000000000 00000048 0000", 2},
		"stage of too much":     {"c010 0000000000000101 00000048 0000", 2},
		"stage without legs":    {"c010 0000000000000001 00000028 0000", 10},
		"stage, half a leg":     {"c010 0000000000000001 00000040 0000", 10},
		"stage, 17 legs":        {"c010 0000000000000001 00000138 0000", 10},
		"commit, argument":      {"c012 0000000000000001 00000018 0000", 2},
		"commit, length":        {"c012 0000000000000000 00000028 0000", 10},
		"free, length":          {"c013 0000000000000000 00000008 0000", 10},
		"records, length":       {"c014 0000000000000000 00000000 0000", 10},
		"roll back nothing":     {"c015 0000000000000000 00000008 0000", 10},
		"roll back too much":    {"c015 0000000000000000 00040018 0000", 10},
		"roll back, half of it": {"c015 0000000000000000 00000010 0000", 10},
		"roll back, argument":   {"c015 0000000000000001 00000018 0000", 2},
		"drop, length":          {"c016 0000000000000000 00000000 0000", 10},
		"upper bits of byte 1":  {"c021 0000000000000000 00000238 0000", 1},
		"read label, argument":  {"c001 0000000000000001 00000238 0000", 2},
		"read label, length":    {"c001 0000000000000000 00000004 0000", 10},
		"config, argument":      {"c002 0000000000000001 00000040 0000", 2},
		"config, too short":     {"c002 0000000000000000 0000001f 0000", 10},
		"config, too long":      {"c002 0000000000000000 00000121 0000", 10},
		"rotate, length":        {"c003 0000000000000000 00000010 0000", 10},
		"stable, length":        {"c004 0000000000000000 00000001 0000", 10},
		"checksums of nothing":  {"c006 0000000000000000 00000000 0000", 10},
		"checksums of too much": {"c006 0000000000000000 00001001 0000", 10},
		"detach, unknown flag":  {"c007 0000000000000002 00000010 0000", 2},
		"medium of too much":    {"c006 8000000000000000 00001001 0000", 10},
		"detach, length":        {"c007 0000000000000000 00000000 0000", 10},
		"stamp, argument":       {"c009 0000000000000001 00000028 0000", 2},
		"stamp, too short":      {"c009 0000000000000000 00000017 0000", 10},
		"stamp, too long":       {"c009 0000000000000000 00010019 0000", 10},
		"adopt of nothing":      {"c00a 0000000000000000 00000000 0000", 10},
		"adopt of too much":     {"c00a 0000000000000000 00001001 0000", 10},
	} {
		field := (*inband.FieldError)(nil)
		_, err := inband.Parse(bytesOf(t, c.cdb))
		require.ErrorAs(t, err, &field, name)
		require.Equal(t, c.at, field.Byte, name)
		require.False(t, field.InParameter)
	}
}

func report() volume.LegReport {
	return volume.LegReport{
		Label: volume.Label{Layout: volume.Mirror(2), Durability: volume.DurabilityFlush,
			SizeBytes: 4096, FenceEpoch: 3},
		BootID: volume.UUID{0: 0xb0}, Instance: 0x0102030405060708, Lossy: true,
		MarksHash: 0x1112131415161718, Changes: 0x2122232425262728,
	}
}

// list is one kind of parameter list or answer, with literal bytes.
type list struct {
	name  string
	value any
	bytes string
	make  func() ([]byte, error)
	parse func([]byte) (any, error)
}

func lists() []list {
	config := volume.Config{CfgVer: 1<<32 | 2, InSync: []volume.LegID{{UUID: volume.UUID{0: 0xaa}},
		{UUID: volume.UUID{0: 0xbb}}}}
	page := inband.MarksPage{Next: 9, Regions: 20, Runs: []inband.Run{
		{First: 0, Count: 2, Marked: true}, {First: 2, Count: 1, Newer: true},
		{First: 5, Count: 4, Marked: true, Newer: true}}}
	versions := inband.VersionsPage{Next: 9, Regions: 20, Runs: []volume.VersionRun{
		{First: 0, Count: 2, Version: 3}, {First: 5, Count: 4, Version: 1<<32 | 1}}}
	return []list{
		{"config", fmt.Sprint(volume.Epoch(7), config), `0001 0000 00000038
			0000000000000007 0000000100000002 0002 000000000000
			aa000000000000000000000000000000 bb000000000000000000000000000000`,
			func() ([]byte, error) { return inband.AppendConfig(nil, 7, config) },
			func(b []byte) (any, error) {
				e, c, err := inband.ParseConfig(b)
				return fmt.Sprint(e, c), err
			}},
		{"rotation", [2]uint64{0xa1a2a3a4a5a6a7a8, 9}, `0001 0000 00000010 a1a2a3a4a5a6a7a8 0000000000000009`,
			func() ([]byte, error) { return inband.AppendRotation(nil, 0xa1a2a3a4a5a6a7a8, 9), nil },
			func(b []byte) (any, error) {
				generation, seq, err := inband.ParseRotation(b)
				return [2]uint64{generation, seq}, err
			}},
		{"marks", page, `0001 0000 00000034 00000009 00000014 00000003 00000000
			00000000 00000002 00000001  00000002 00000001 00000002  00000005 00000004 00000003`,
			func() ([]byte, error) { return inband.AppendMarks(nil, page) },
			func(b []byte) (any, error) { return inband.ParseMarks(b) }},
		{"checksums", [2][]uint32{{1, 0xdeadbeef}, {1}}, `0001 0000 00000009 00000001 deadbeef 40`,
			func() ([]byte, error) { return inband.AppendChecksums(nil, []uint32{1, 0xdeadbeef}, []uint32{1}), nil },
			func(b []byte) (any, error) {
				sums, bad, err := inband.ParseChecksums(b, 2)
				return [2][]uint32{sums, bad}, err
			}},
		{"versions", versions, `0001 0000 00000030 00000009 00000014 00000002 00000000
			00000000 00000002 0000000000000003  00000005 00000004 0000000100000001`,
			func() ([]byte, error) { return inband.AppendVersions(nil, versions) },
			func(b []byte) (any, error) { return inband.ParseVersions(b) }},
		{"transaction", volume.Transaction{Epoch: 3, Number: 17},
			`0001 0000 00000010 0000000000000003 0000000000000011`,
			func() ([]byte, error) {
				return inband.AppendTransaction(nil, volume.Transaction{Epoch: 3, Number: 17}), nil
			},
			func(b []byte) (any, error) { return inband.ParseTransaction(b) }},
		{"rollback", rolledBack(), `0001 0000 00000020
			0000000000000003 0000000000000011  0000000000000002 0000000000000009`,
			func() ([]byte, error) { return inband.AppendRollback(nil, rolledBack()) },
			func(b []byte) (any, error) { return inband.ParseRollback(b) }},
		{"records", recordsPage(), `0001 0000 00000080 0000000000001200 00000000000000020000000000000009
			00000002 00000000
			0000000000000003 0000000000000011 0000000102030405 00000002 02 00 01 00
			aa000000000000000000000000000000
			0000000000000003 0000000000000012 0000000000000007 00000001 01 01 01 00
			bb000000000000000000000000000000`,
			func() ([]byte, error) { return inband.AppendRecords(nil, recordsPage()) },
			func(b []byte) (any, error) { return inband.ParseRecords(b) }},
	}
}

func TestLists(t *testing.T) {
	for _, l := range lists() {
		t.Run(l.name, func(t *testing.T) {
			want := bytesOf(t, l.bytes)
			got, err := l.make()
			require.NoError(t, err)
			require.Equal(t, want, got)
			parsed, err := l.parse(want)
			require.NoError(t, err)
			require.Equal(t, l.value, parsed)
			checkDamage(t, want, l.parse)
		})
	}
}

// checkDamage holds for every list: no prefix, version or reserved bit is let pass.
func checkDamage(t *testing.T, whole []byte, parse func([]byte) (any, error)) {
	t.Helper()
	for n := range whole {
		_, err := parse(whole[:n])
		require.ErrorIs(t, err, inband.ErrLength, "prefix of %d bytes", n)
	}
	for _, head := range []int{0, 1, 2, 3} {
		bad := append([]byte(nil), whole...)
		bad[head] ^= 0x40
		field := (*inband.FieldError)(nil)
		_, err := parse(bad)
		require.ErrorAs(t, err, &field)
		require.True(t, field.InParameter)
	}
}

func TestReport(t *testing.T) {
	b, err := inband.AppendReport(nil, report())
	require.NoError(t, err)
	require.Len(t, b, inband.ReportBytes)
	require.Equal(t, bytesOf(t, `0001 0000 00000230 b0000000000000000000000000000000 0102030405060708
		1112131415161718 01 00000000000000 2122232425262728`), b[:56])
	got, err := inband.ParseReport(b)
	require.NoError(t, err)
	require.Equal(t, report(), got)
	checkDamage(t, b, func(b []byte) (any, error) { return inband.ParseReport(b) })
	for at := 40; at < 48; at++ {
		bad := append([]byte(nil), b...)
		bad[at] |= 2
		field := (*inband.FieldError)(nil)
		_, err := inband.ParseReport(bad)
		require.ErrorAs(t, err, &field)
		require.Equal(t, at, field.Byte)
	}
	b[100] ^= 1
	_, err = inband.ParseReport(b)
	require.ErrorIs(t, err, volume.ErrLabelCorrupt, "the label's own checksum holds end to end")
}

func TestMarks_runsThatContradict(t *testing.T) {
	for name, p := range map[string]inband.MarksPage{
		"empty run":    {Next: 9, Regions: 9, Runs: []inband.Run{{First: 1, Marked: true}}},
		"says nothing": {Next: 9, Regions: 9, Runs: []inband.Run{{First: 1, Count: 1}}},
		"overlap": {Next: 9, Regions: 9, Runs: []inband.Run{{Count: 3, Marked: true},
			{First: 2, Count: 1, Newer: true}}},
		"descending": {Next: 9, Regions: 9, Runs: []inband.Run{{First: 5, Count: 1, Marked: true},
			{First: 2, Count: 1, Newer: true}}},
		"behind the page": {Next: 4, Regions: 9, Runs: []inband.Run{{First: 3, Count: 2, Marked: true}}},
		"behind the leg":  {Next: 10, Regions: 9},
		"wraps around": {Next: 9, Regions: 9, Runs: []inband.Run{{First: 8, Count: 0xffffffff,
			Marked: true}}},
		"too many": {Next: 9000, Regions: 9000, Runs: make([]inband.Run, inband.MaxRuns+1)},
	} {
		_, err := inband.AppendMarks(nil, p)
		require.ErrorIs(t, err, inband.ErrLength, name)
	}
	_, err := inband.AppendConfig(nil, 1, volume.Config{InSync: make([]volume.LegID, volume.MaxInSync+1)})
	require.Error(t, err)
}

func TestVersions_runsThatContradict(t *testing.T) {
	run := func(first, count uint32, v volume.CfgVer) volume.VersionRun {
		return volume.VersionRun{First: first, Count: count, Version: v}
	}
	for name, p := range map[string]inband.VersionsPage{
		"empty run":       {Next: 9, Regions: 9, Runs: []volume.VersionRun{run(1, 0, 1)}},
		"says nothing":    {Next: 9, Regions: 9, Runs: []volume.VersionRun{run(1, 1, 0)}},
		"overlap":         {Next: 9, Regions: 9, Runs: []volume.VersionRun{run(0, 3, 1), run(2, 1, 2)}},
		"descending":      {Next: 9, Regions: 9, Runs: []volume.VersionRun{run(5, 1, 1), run(2, 1, 2)}},
		"behind the page": {Next: 4, Regions: 9, Runs: []volume.VersionRun{run(3, 2, 1)}},
		"behind the leg":  {Next: 10, Regions: 9},
		"wraps around":    {Next: 9, Regions: 9, Runs: []volume.VersionRun{run(8, 0xffffffff, 1)}},
		"too many":        {Next: 9000, Regions: 9000, Runs: make([]volume.VersionRun, inband.MaxRuns+1)},
	} {
		_, err := inband.AppendVersions(nil, p)
		require.ErrorIs(t, err, inband.ErrLength, name)
	}
	full := inband.VersionsPage{Next: 2 * inband.MaxRuns, Regions: 1 << 20}
	for i := range uint32(inband.MaxRuns) {
		full.Runs = append(full.Runs, run(2*i, 1, 7))
	}
	b, err := inband.AppendVersions(nil, full)
	require.NoError(t, err)
	require.Len(t, b, inband.VersionsMaxBytes)
	_, err = inband.ParseVersions(bytesOf(t, `0001 0000 00000010 00000009 00000014 00000000 00000001`))
	require.ErrorAs(t, err, new(*inband.FieldError), "reserved")
	_, err = inband.ParseVersions(bytesOf(t, `0001 0000 00000010 00000009 00000014 00001001 00000000`))
	require.ErrorIs(t, err, inband.ErrLength, "more runs than fit are no reason to allocate")
}

// The bits behind the last block are zero, and the last block has one of its own.
func TestChecksums_bits(t *testing.T) {
	sums := make([]uint32, 9)
	b := inband.AppendChecksums(nil, sums, []uint32{0, 7, 8})
	require.Equal(t, []byte{0x81, 0x80}, b[len(b)-2:])
	_, bad, err := inband.ParseChecksums(b, 9)
	require.NoError(t, err)
	require.Equal(t, []uint32{0, 7, 8}, bad)
	b[len(b)-1] |= 0x40
	_, _, err = inband.ParseChecksums(b, 9)
	require.ErrorIs(t, err, inband.ErrLength)
	_, _, err = inband.ParseChecksums(b, 8)
	require.ErrorIs(t, err, inband.ErrLength)
}

// FuzzParse feeds every decoder: none panics, and what one accepts it writes the same way again.
func FuzzParse(f *testing.F) {
	for _, c := range commands {
		f.Add(bytesOf(f, c.cdb))
	}
	for _, l := range lists() {
		f.Add(bytesOf(f, l.bytes))
	}
	b, err := inband.AppendReport(nil, report())
	require.NoError(f, err)
	f.Add(b)
	stage, err := inband.AppendStage(nil, recordsPage().Records.Records[0])
	require.NoError(f, err)
	f.Add(append(stage, make([]byte, 2*volume.BlockBytes)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := inband.Parse(b); err == nil {
			again := c.CDB()
			require.Equal(t, b[:inband.CDBBytes], again[:])
		}
		if e, c, err := inband.ParseConfig(b); err == nil {
			again, err := inband.AppendConfig(nil, e, c)
			require.NoError(t, err)
			require.Equal(t, b[:len(again)], again)
		}
		if p, err := inband.ParseMarks(b); err == nil {
			again, err := inband.AppendMarks(nil, p)
			require.NoError(t, err)
			require.Equal(t, b[:len(again)], again)
		}
		if r, err := inband.ParseReport(b); err == nil {
			again, err := inband.AppendReport(nil, r)
			require.NoError(t, err)
			require.Equal(t, b[:len(again)], again)
		}
		if g, seq, err := inband.ParseRotation(b); err == nil {
			require.Equal(t, b[:inband.RotationBytes], inband.AppendRotation(nil, g, seq))
		}
		if p, err := inband.ParseVersions(b); err == nil {
			again, err := inband.AppendVersions(nil, p)
			require.NoError(t, err)
			require.Equal(t, b[:len(again)], again)
		}
		if r, payload, err := inband.ParseStage(b); err == nil {
			again, err := inband.AppendStage(nil, r)
			require.NoError(t, err)
			require.Equal(t, b, append(again, payload...))
		}
		if list, err := inband.ParseRollback(b); err == nil {
			again, err := inband.AppendRollback(nil, list)
			require.NoError(t, err)
			require.Equal(t, b[:len(again)], again)
		}
		if p, err := inband.ParseRecords(b); err == nil {
			again, err := inband.AppendRecords(nil, p)
			require.NoError(t, err)
			require.Equal(t, b[:len(again)], again)
		}
		if len(b) >= 8 {
			for _, blocks := range []int{(len(b) - 8) / 5, 8 * (len(b) - 8) / 33} {
				if sums, bad, err := inband.ParseChecksums(b, blocks); err == nil {
					again := inband.AppendChecksums(nil, sums, bad)
					require.Equal(t, b[:len(again)], again)
				}
			}
		}
	})
}
