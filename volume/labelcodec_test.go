package volume

import (
	"bytes"
	"encoding/hex"
	"hash/crc32"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func fullLabel() Label {
	return Label{
		SlotSeq: 0x0102030405060708, Incarnation: ClusterID{UUID{0: 0x11}}, VolumeID: ID{UUID{0: 0x12}},
		VolumeName: "root-disk",
		LegID:      LegID{UUID{0: 0x13}}, StoreID: StoreID{UUID{0: 0x14}}, DataGen: UUID{0: 0x15},
		Layout: Mirror(3), Slot: 2,
		Durability: DurabilitySync, SizeBytes: 10 << 30, FenceEpoch: 1<<32 | 7,
		AttachID: AttachID{UUID{0: 0x16}},
		Admit:    true, Clean: true, Config: Config{CfgVer: 9,
			InSync: []LegID{{UUID{0: 0x21}}, {UUID{0: 0x22}}}},
		CrashGen: 4, OpenBoot: UUID{0: 0x17}, Marked: true,
	}
}

func TestLabel_readsBackWhatItWrote(t *testing.T) {
	blank := Label{Layout: Mirror(1), Durability: DurabilityFlush, SizeBytes: BlockBytes}
	parity := fullLabel()
	parity.Layout, parity.Slot = Layout{Kind: KindParity, Data: 8, Extra: 3, Chunk: MaxChunkBytes}, 10
	parity.Closed, parity.VolumeName = true, strings.Repeat("n", NameMax)
	for len(parity.Config.InSync) < MaxInSync {
		parity.Config.InSync = append(parity.Config.InSync, NewLegID())
	}
	for _, want := range []Label{fullLabel(), blank, parity} {
		b, err := AppendLabel([]byte("before"), want)
		require.NoError(t, err)
		require.Len(t, b, 6+LabelBytes)
		got, err := ParseLabel(b[6:])
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func parityLabel() Label {
	l := fullLabel()
	l.Layout, l.Slot = Parity(4, 2), 5
	l.Layout.Chunk = 64 << 10
	return l
}

// The bytes at rest never change within a version: a leg of today is read by a program of tomorrow, and one of
// a mirror by a program of yesterday.
func TestLabel_goldenBytes(t *testing.T) {
	for name, label := range map[string]Label{"label_v1.hex": fullLabel(), "label_v2.hex": parityLabel()} {
		b, err := AppendLabel(nil, label)
		require.NoError(t, err)
		want, err := os.ReadFile("testdata/" + name)
		require.NoError(t, err)
		require.Equal(t, string(want), hex.Dump(b), name)
	}
}

// No prefix and no single wrong byte is taken for a label.
func TestParseLabel_refusesDamage(t *testing.T) {
	whole, err := AppendLabel(nil, fullLabel())
	require.NoError(t, err)
	for n := range LabelBytes {
		_, err := ParseLabel(whole[:n])
		require.ErrorIs(t, err, ErrLabelCorrupt, "prefix of %d bytes", n)
		bad := bytes.Clone(whole)
		bad[n] ^= 0x40
		_, err = ParseLabel(bad)
		require.ErrorIs(t, err, ErrLabelCorrupt, "byte %d", n)
	}
	_, err = ParseLabel(make([]byte, LabelBytes))
	require.ErrorIs(t, err, ErrLabelCorrupt)
}

// resealed changes a label and makes its checksum right again.
func resealed(t *testing.T, l Label, change func(p []byte)) []byte {
	t.Helper()
	b, err := AppendLabel(nil, l)
	require.NoError(t, err)
	change(b)
	sum := crc32.Checksum(b[:508], crc32.MakeTable(crc32.Castagnoli))
	b[508], b[509], b[510], b[511] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
	return b
}

func TestParseLabel_refusesWhatItDoesNotKnow(t *testing.T) {
	_, err := ParseLabel(resealed(t, fullLabel(), func(p []byte) { p[9] = 3 }))
	require.ErrorIs(t, err, ErrLabelVersion)
	require.NotErrorIs(t, err, ErrLabelCorrupt, "a leg of a newer program is not lost")
	for name, change := range map[string]func(p []byte){
		"flag":           func(p []byte) { p[10] |= 0x80 },
		"layout":         func(p []byte) { p[11] = 9 },
		"no legs":        func(p []byte) { p[12] = 0 },
		"slot":           func(p []byte) { p[14] = 3 },
		"durability":     func(p []byte) { p[15] = 0 },
		"in-sync count":  func(p []byte) { p[56] = MaxInSync + 1 },
		"reserved":       func(p []byte) { p[57] = 1 },
		"size":           func(p []byte) { p[79] = 1 },
		"name with hole": func(p []byte) { p[176] = 0 },
		"unused place":   func(p []byte) { p[240+16*2] = 1 },
		"tail":           func(p []byte) { p[504] = 1 },
	} {
		_, err := ParseLabel(resealed(t, fullLabel(), change))
		require.ErrorIs(t, err, ErrLabelCorrupt, name)
	}
	for name, change := range map[string]func(p []byte){
		"no chunk":         func(p []byte) { p[57] = 0 },
		"small chunk":      func(p []byte) { p[57] = 11 },
		"large chunk":      func(p []byte) { p[57] = 21 },
		"huge chunk":       func(p []byte) { p[57] = 255 },
		"old version":      func(p []byte) { p[9] = 1 },
		"a mirror":         func(p []byte) { p[11], p[12], p[13] = 1, 1, 7 },
		"a mirror's chunk": func(p []byte) { p[9], p[11], p[12], p[13] = 1, 1, 1, 7 },
		"one data leg":     func(p []byte) { p[12] = 1 },
		"no parity leg":    func(p []byte) { p[13], p[14] = 0, 0 },
	} {
		_, err := ParseLabel(resealed(t, parityLabel(), change))
		require.ErrorIs(t, err, ErrLabelCorrupt, name)
	}
}

func TestAppendLabel_refusesWhatItCouldNotReadBack(t *testing.T) {
	for name, change := range map[string]func(*Label){
		"layout":     func(l *Label) { l.Layout = Layout{} },
		"wide":       func(l *Label) { l.Layout.Data = 9 },
		"chunk":      func(l *Label) { l.Layout.Chunk = MinChunkBytes },
		"slot":       func(l *Label) { l.Slot = -1 },
		"durability": func(l *Label) { l.Durability = "maybe" },
		"size":       func(l *Label) { l.SizeBytes = 4095 },
		"name":       func(l *Label) { l.VolumeName = strings.Repeat("n", NameMax+1) },
		"list":       func(l *Label) { l.Config.InSync = make([]LegID, MaxInSync+1) },
	} {
		l := fullLabel()
		change(&l)
		b, err := AppendLabel(nil, l)
		require.Error(t, err, name)
		require.Empty(t, b, name)
	}
}

func FuzzParseLabel(f *testing.F) {
	whole, err := AppendLabel(nil, fullLabel())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:100])
	whole, err = AppendLabel(nil, parityLabel())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		// The checksum would hide the fields from the fuzzer, so it is made right.
		if len(b) >= LabelBytes {
			b = bytes.Clone(b[:LabelBytes])
			sum := crc32.Checksum(b[:508], crc32.MakeTable(crc32.Castagnoli))
			b[508], b[509], b[510], b[511] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		}
		l, err := ParseLabel(b)
		if err != nil {
			return
		}
		again, err := AppendLabel(nil, l)
		require.NoError(t, err)
		require.Equal(t, b[:LabelBytes], again)
	})
}
