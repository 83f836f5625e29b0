package scsi

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// copyListOf is a parameter list with these units and segments {source, destination, blocks, from, to}.
func copyListOf(units []*Disk, segments ...[5]uint16) []byte {
	list := make([]byte, 16)
	list[0] = 7
	binary.BigEndian.PutUint16(list[2:], uint16(32*len(units)))
	binary.BigEndian.PutUint32(list[8:], uint32(28*len(segments)))
	for _, u := range units {
		target := make([]byte, 32)
		target[0], target[4], target[5], target[7] = 0xe4, 1, 3, byte(len(u.options.NAA))
		copy(target[8:], u.options.NAA)
		target[30] = 2
		list = append(list, target...)
	}
	for _, s := range segments {
		segment := make([]byte, 28)
		segment[0], segment[3] = 0x02, 0x18
		binary.BigEndian.PutUint16(segment[4:], s[0])
		binary.BigEndian.PutUint16(segment[6:], s[1])
		binary.BigEndian.PutUint16(segment[10:], s[2])
		binary.BigEndian.PutUint64(segment[12:], uint64(s[3]))
		binary.BigEndian.PutUint64(segment[20:], uint64(s[4]))
		list = append(list, segment...)
	}
	return list
}

func copyCDB(list []byte) CDB {
	cdb := CDB{0x83}
	binary.BigEndian.PutUint32(cdb[10:], uint32(len(list)))
	return cdb
}

func TestExtendedCopy(t *testing.T) {
	group := &CopyGroup{}
	b := newBench(t, nil, func(o *Options) { o.CopyGroup = group })
	other := newBench(t, nil, func(o *Options) { o.CopyGroup, o.NAA = group, LocalNAA([]byte("other")) })
	stranger := newBench(t, nil, func(o *Options) { o.NAA = LocalNAA([]byte("stranger")) })
	b.good(extentOf(opWrite10, 0, 0, 64), pattern(64), 0)

	units := []*Disk{b.disk, other.disk}
	list := copyListOf(units, [5]uint16{0, 1, 64, 0, 100}, [5]uint16{0, 0, 64, 0, 3})
	b.good(copyCDB(list), list, 0)
	require.Equal(t, pattern(64), other.contents(100, 64))
	require.Equal(t, pattern(64), b.contents(3, 64), "an overlapping copy")
	status := b.good(CDB{0x84, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12}, nil, 12)
	require.Equal(t, []byte{0, 0, 0, 8, 1, 0, 2, 0, 0, 1, 0, 0}, status)
	b.refused(senseInvalidFieldInCDB, CDB{0x84, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12}, nil)

	before := b.contents(0, testBlocks)
	for want, bad := range map[senseCode][]byte{
		senseCopyTarget: copyListOf(append(units, stranger.disk),
			[5]uint16{0, 0, 1, 0, 9}, [5]uint16{0, 2, 1, 0, 0}),
		senseCopyRange:      copyListOf(units, [5]uint16{0, 0, 1, 0, 9}, [5]uint16{0, 0, 2, 0, testBlocks - 1}),
		senseTooManyTargets: copyListOf(slices.Repeat(units, 5)),
		senseListLength:     list[:len(list)-1],
	} {
		b.refused(want, copyCDB(bad), bad)
		require.True(t, bytes.Equal(before, b.contents(0, testBlocks)), want)
	}
	group.Remove(other.disk)
	b.refused(senseCopyTarget, copyCDB(list), list)
	b.good(CDB{0x83}, nil, 0)
	require.Len(t, b.good(CDB{0x84, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}, nil, 256), 46)
}

// However malformed a list, it is refused and nothing panics.
func FuzzCopyList(f *testing.F) {
	f.Add(copyListOf(nil, [5]uint16{0, 1, 64, 0, 100}))
	f.Fuzz(func(t *testing.T, list []byte) {
		c, sense := parseCopyList(list)
		if sense == 0 && (len(c.targets) > maxCopyTargets || len(c.segments) > maxCopySegments) {
			t.Fatal("more than the limits")
		}
	})
}
