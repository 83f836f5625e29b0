package journal_test

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

func testLeg() volume.LegID { return volume.LegID{UUID: volume.UUID{0: 0xaa, 15: 1}} }

func entries() map[string]journal.Entry {
	record := volume.Record{Transaction: volume.Transaction{Epoch: 3, Number: 17}, Kind: volume.RecordDelta,
		FirstBlock: 0x0102030405, Blocks: 2, Legs: legs(2)}
	return map[string]journal.Entry{
		"record": {Place: 0x1000, Term: 7, Durable: 0xe00, Kind: journal.KindRecord, Record: record,
			Sums: []uint32{1, 0xdeadbeef}},
		"after-image": {Place: 0x1200, Term: 7, Kind: journal.KindAfterImage, First: 9, Sums: []uint32{5}},
		"commit": {Place: 0x2400, Term: 7, Kind: journal.KindCommit, Batch: 0x1200,
			UpTo: volume.Transaction{Epoch: 3, Number: 16}},
		"roll-back": {Place: 0x2600, Term: 8, Kind: journal.KindRollback,
			Dropped: []volume.Transaction{{Epoch: 3, Number: 1}, {Epoch: 2, Number: 9}}},
	}
}

// TestEntry_bytes holds the bytes that docs/ondisk.md describes.
func TestEntry_bytes(t *testing.T) {
	for name, text := range map[string]string{
		"record": `48464a45 01 02 02 00 0000000000001000 0000000000000007 0000000000000003 0000000000000011
			0000000102030405 00000002 00000000 0000000000000000 0000000000000e00 0000000000000000
			00000000000000000000000000000001 00000000000000000000000000000002 00000001 deadbeef`,
		"after-image": `48464a45 02 00 00 00 0000000000001200 0000000000000007 0000000000000000 0000000000000000
			0000000000000009 00000001 00000000 0000000000000000 0000000000000000 0000000000000000 00000005`,
		"commit": `48464a45 03 00 00 00 0000000000002400 0000000000000007 0000000000000003 0000000000000010
			0000000000000000 00000000 00000000 0000000000001200 0000000000000000 0000000000000000`,
		"roll-back": `48464a45 04 00 00 00 0000000000002600 0000000000000008 0000000000000000 0000000000000000
			0000000000000000 00000000 00000002 0000000000000000 0000000000000000 0000000000000000
			0000000000000003 0000000000000001 0000000000000002 0000000000000009`,
	} {
		want, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(text))
		require.NoError(t, err)
		e := entries()[name]
		got := journal.AppendEntry(nil, testLeg(), &e)
		require.Len(t, got, 512)
		require.Equal(t, want, got[:len(want)], name)
		require.Equal(t, make([]byte, 508-len(want)), got[len(want):508], name)
		require.EqualValues(t, 512, journal.EntryHeadBytes(got))
		back, err := journal.ParseEntry(got, testLeg())
		require.NoError(t, err, name)
		require.Equal(t, e, back)
		for i := range got {
			bad := append([]byte(nil), got...)
			bad[i] ^= 0x10
			_, err := journal.ParseEntry(bad, testLeg())
			require.ErrorIs(t, err, journal.ErrNoEntry, "%s byte %d", name, i)
			_, err = journal.ParseEntry(got[:i], testLeg())
			require.ErrorIs(t, err, journal.ErrNoEntry, "%s prefix %d", name, i)
		}
		_, err = journal.ParseEntry(got, volume.LegID{UUID: volume.UUID{1: 1}})
		require.ErrorIs(t, err, journal.ErrNoEntry, "it is of another leg")
	}
}

// TestEntry_sizes: an engine counts what its records take up by volume.RecordBytes.
func TestEntry_sizes(t *testing.T) {
	for _, blocks := range []int64{1, 2, 16, 100, volume.MaxRecordBlocks} {
		for _, n := range []int{1, 3, 11, volume.MaxInSync} {
			e := journal.Entry{Kind: journal.KindRecord, Record: volume.Record{
				Transaction: volume.Transaction{Epoch: 1, Number: 1}, Kind: volume.RecordImage, Blocks: blocks,
				Legs: legs(n)}, Sums: make([]uint32, blocks)}
			require.Equal(t, volume.RecordBytes(blocks, n), e.Bytes())
			b := journal.AppendEntry(nil, testLeg(), &e)
			require.EqualValues(t, e.HeadBytes(), len(b))
			require.Equal(t, e.HeadBytes(), journal.EntryHeadBytes(b))
			_, err := journal.ParseEntry(b, testLeg())
			require.NoError(t, err)
		}
	}
}

func TestHead_bytes(t *testing.T) {
	slot := journal.HeadSlot{Leg: testLeg(), RingBytes: 64 << 20, Sequence: 5, Head: journal.Head{Term: 7,
		Start: 0x1000, Cut: 0x2000, Freed: volume.Transaction{Epoch: 3, Number: 16},
		Floor: volume.Transaction{Epoch: 2, Number: 9}, Durable: 0x2200, Ended: true}}
	got := journal.AppendHead(nil, slot)
	want, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(`48464a524e414c0a 0002
		000000000000 aa000000000000000000000000000001 0000000004000000 0000000000000005 0000000000000007
		0000000000001000 0000000000002000 00000000000000030000000000000010 00000000000000020000000000000009
		0000000000002200 01`))
	require.NoError(t, err)
	require.Len(t, got, 512)
	require.Equal(t, want, got[:len(want)])
	back, err := journal.ParseHead(got)
	require.NoError(t, err)
	require.Equal(t, slot, back)
	for i := range got {
		bad := append([]byte(nil), got...)
		bad[i] ^= 0x10
		_, err := journal.ParseHead(bad)
		require.ErrorIs(t, err, journal.ErrHeadCorrupt, "byte %d", i)
		_, err = journal.ParseHead(got[:i])
		require.ErrorIs(t, err, journal.ErrHeadCorrupt, "prefix %d", i)
	}
}

// headOfVersion1 is a head as the first version of the journal wrote it.
func headOfVersion1(t testing.TB, s journal.HeadSlot) []byte {
	t.Helper()
	require.Zero(t, s.Durable)
	require.False(t, s.Ended)
	b := journal.AppendHead(nil, s)
	b[9] = 1
	binary.BigEndian.PutUint32(b[508:], journal.BlockSum(b[:508]))
	return b
}

// A head of version 1 is read: it knows of nothing that it was durable. What it has no field for it cannot hold.
func TestHead_version1(t *testing.T) {
	slot := journal.HeadSlot{Leg: testLeg(), RingBytes: 64 << 20, Sequence: 5,
		Head: journal.Head{Term: 7, Start: 0x1000, Cut: 0x2000}}
	old := headOfVersion1(t, slot)
	back, err := journal.ParseHead(old)
	require.NoError(t, err)
	require.Equal(t, slot, back)
	for _, at := range []int{104, 112} {
		bad := append([]byte(nil), old...)
		bad[at] = 1
		binary.BigEndian.PutUint32(bad[508:], journal.BlockSum(bad[:508]))
		_, err = journal.ParseHead(bad)
		require.ErrorIs(t, err, journal.ErrHeadCorrupt)
	}
	for _, version := range []byte{0, 3} {
		other := append([]byte(nil), old...)
		other[9] = version
		binary.BigEndian.PutUint32(other[508:], journal.BlockSum(other[:508]))
		_, err = journal.ParseHead(other)
		require.ErrorIs(t, err, journal.ErrVersion)
	}
}

// FuzzParse: no bytes make a parser panic, and what it accepts is written the same way again.
func FuzzParse(f *testing.F) {
	for _, e := range entries() {
		f.Add(journal.AppendEntry(nil, testLeg(), &e))
	}
	f.Add(journal.AppendHead(nil, journal.HeadSlot{Leg: testLeg(), RingBytes: 4096}))
	f.Add(headOfVersion1(f, journal.HeadSlot{Leg: testLeg(), RingBytes: 4096}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := journal.ParseEntry(b, testLeg()); err == nil {
			require.Equal(t, b[:e.HeadBytes()], journal.AppendEntry(nil, testLeg(), &e))
		}
		if s, err := journal.ParseHead(b); err == nil {
			again := journal.AppendHead(nil, s)
			if b[9] == 1 {
				again = headOfVersion1(t, s)
			}
			require.Equal(t, b[:journal.SectorBytes], again)
		}
	})
}
