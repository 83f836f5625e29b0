package inband_test

import (
	"encoding/hex"
	"fmt"
	"reflect"
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
	{inband.ReadLabel{}, "c001 0000000000000000 00000230 0000", 560},
	{inband.Config{ParamBytes: 64}, "c002 0000000000000000 00000040 0000", 0},
	{inband.Rotate{}, "c003 0000000000000000 00000010 0000", 16},
	{inband.Stable{Generation: 0x0102030405060708}, "c004 0102030405060708 00000000 0000", 0},
	{inband.Marks{Since: 1<<32 | 5, FirstRegion: 77}, "c005 0000000100000005 0000004d 0000", 49176},
	{inband.Checksums{FirstBlock: 0x1122334455, Blocks: 4096}, "c006 0000001122334455 00001000 0000", 16392},
	{inband.Detach{Clean: true}, "c007 0000000000000001 00000000 0000", 0},
	{inband.Detach{}, "c007 0000000000000000 00000000 0000", 0},
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
	require.Equal(t, int64(64), inband.DataOutBytes(bytesOf(t, commands[1].cdb)))
	require.Zero(t, inband.DataOutBytes(bytesOf(t, commands[0].cdb)))
	require.Zero(t, inband.DataOutBytes(nil))
}

func TestParse_refusals(t *testing.T) {
	_, err := inband.Parse(bytesOf(t, "12000000000000000000000000000000"))
	require.ErrorIs(t, err, inband.ErrOpCode)
	for name, c := range map[string]struct {
		cdb string
		at  int
	}{
		"unknown action":        {"c008 0000000000000000 00000000 0000", 1},
		"parity action":         {"c010 0000000000000000 00000000 0000", 1},
		"upper bits of byte 1":  {"c021 0000000000000000 00000230 0000", 1},
		"read label, argument":  {"c001 0000000000000001 00000230 0000", 2},
		"read label, length":    {"c001 0000000000000000 00000004 0000", 10},
		"config, argument":      {"c002 0000000000000001 00000040 0000", 2},
		"config, too short":     {"c002 0000000000000000 0000001f 0000", 10},
		"config, too long":      {"c002 0000000000000000 00000121 0000", 10},
		"stable, length":        {"c004 0000000000000001 00000001 0000", 10},
		"checksums of nothing":  {"c006 0000000000000000 00000000 0000", 10},
		"checksums of too much": {"c006 0000000000000000 00001001 0000", 10},
		"detach, unknown flag":  {"c007 0000000000000002 00000000 0000", 2},
		"detach, length":        {"c007 0000000000000000 00000001 0000", 10},
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
		MarksHash: 0x1112131415161718,
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
	return []list{
		{"config", fmt.Sprint(volume.Epoch(7), config), `0001 0000 00000038
			0000000000000007 0000000100000002 0002 000000000000
			aa000000000000000000000000000000 bb000000000000000000000000000000`,
			func() ([]byte, error) { return inband.AppendConfig(nil, 7, config) },
			func(b []byte) (any, error) {
				e, c, err := inband.ParseConfig(b)
				return fmt.Sprint(e, c), err
			}},
		{"rotation", uint64(0xa1a2a3a4a5a6a7a8), `0001 0000 00000008 a1a2a3a4a5a6a7a8`,
			func() ([]byte, error) { return inband.AppendRotation(nil, 0xa1a2a3a4a5a6a7a8), nil },
			func(b []byte) (any, error) { return inband.ParseRotation(b) }},
		{"marks", page, `0001 0000 00000034 00000009 00000014 00000003 00000000
			00000000 00000002 00000001  00000002 00000001 00000002  00000005 00000004 00000003`,
			func() ([]byte, error) { return inband.AppendMarks(nil, page) },
			func(b []byte) (any, error) { return inband.ParseMarks(b) }},
		{"checksums", []uint32{1, 0xdeadbeef}, `0001 0000 00000008 00000001 deadbeef`,
			func() ([]byte, error) { return inband.AppendChecksums(nil, []uint32{1, 0xdeadbeef}), nil },
			func(b []byte) (any, error) { return inband.ParseChecksums(b, 2) }},
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
	require.Equal(t, bytesOf(t, `0001 0000 00000228 b0000000000000000000000000000000 0102030405060708
		1112131415161718 01 00000000000000`), b[:48])
	got, err := inband.ParseReport(b)
	require.NoError(t, err)
	require.Equal(t, report(), got)
	checkDamage(t, b, func(b []byte) (any, error) { return inband.ParseReport(b) })
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
			back, err := inband.ParseReport(again)
			require.NoError(t, err)
			require.True(t, reflect.DeepEqual(r, back))
		}
		if g, err := inband.ParseRotation(b); err == nil {
			require.Equal(t, b[:inband.RotationBytes], inband.AppendRotation(nil, g))
		}
		if len(b) >= 8 {
			if sums, err := inband.ParseChecksums(b, (len(b)-8)/4); err == nil {
				require.Equal(t, b[:8+4*len(sums)], inband.AppendChecksums(nil, sums))
			}
		}
	})
}
