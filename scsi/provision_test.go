package scsi

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
)

// zeroRecorder notes how ranges are zeroed.
type zeroRecorder struct {
	block.Device
	zeroes []zeroCall
}

type zeroCall struct {
	block.Range
	block.Flags
}

func (d *zeroRecorder) Zero(ctx context.Context, r block.Range, f block.Flags) error {
	d.zeroes = append(d.zeroes, zeroCall{r, f})
	return d.Device.Zero(ctx, r, f)
}

func newZeroBench(t *testing.T, limits func(*block.Limits)) (*bench, *zeroRecorder) {
	b := newBench(t, limits, nil)
	b.good(extentOf(opWrite10, 0, 0, 64), pattern(64), 0)
	seen := &zeroRecorder{Device: b.device}
	b.disk.device = seen
	return b, seen
}

func TestWriteSame(t *testing.T) {
	for _, op := range []byte{opWriteSame10, opWriteSame16} {
		b, seen := newZeroBench(t, nil)
		one := pattern(2)[512:]
		b.good(extentOf(op, 0, 10, 200), one, 0)
		for lba := int64(10); lba < 210; lba += 199 {
			require.Equal(t, one, b.contents(lba, 1))
		}
		require.Equal(t, make([]byte, 512), b.contents(210, 1))
		require.Equal(t, pattern(10), b.contents(0, 10))
		require.Empty(t, seen.zeroes)

		b.good(extentOf(op, bitUnmap, 10, 4), one, 0) // UNMAP with data that is not zero writes it
		require.Equal(t, one, b.contents(13, 1))
		require.Empty(t, seen.zeroes)

		b.good(extentOf(op, 0, 10, 4), make([]byte, 512), 0)
		b.good(extentOf(op, bitUnmap, 20, 4), make([]byte, 512), 0)
		want := []zeroCall{{block.Range{Off: 5120, Len: 2048}, 0}, {block.Range{Off: 10240, Len: 2048}, block.Unmap}}
		require.Equal(t, want, seen.zeroes)
		require.Equal(t, make([]byte, 2048), b.contents(20, 4))
		require.Equal(t, one, b.contents(24, 1))

		b.refused(senseInvalidFieldInCDB, extentOf(op, 0, 0, 0), one) // WSNZ
		b.refused(senseInvalidFieldInCDB, extentOf(op, bitAnchor|bitUnmap, 0, 1), one)
		b.refused(senseInvalidFieldInCDB, extentOf(op, 0x02, 0, 1), one)
		b.refused(senseInvalidFieldInCDB, extentOf(op, 0x20, 0, 1), one)
		b.refused(senseLBAOutOfRange, extentOf(op, 0, testBlocks-1, 2), one)
		b.refused(senseInvalidFieldInIU, extentOf(op, 0, 0, 1), one[:100])
	}
}

func TestWriteSame_NDOB(t *testing.T) {
	b, seen := newZeroBench(t, nil)
	require.Zero(t, b.disk.DataOutLen(sliceOf(extentOf(opWriteSame16, bitNDOB, 0, 1))))
	b.good(extentOf(opWriteSame16, bitNDOB|bitUnmap, 0, 2), nil, 0)
	require.Equal(t, []zeroCall{{block.Range{Len: 1024}, block.Unmap}}, seen.zeroes)
	b.refused(senseInvalidFieldInCDB, extentOf(opWriteSame10, bitNDOB, 0, 1), pattern(1)) // RELADR there
}

func TestProvisioning_thatTheDeviceHasNot(t *testing.T) {
	b := newBench(t, func(l *block.Limits) { l.CanUnmap = false }, nil)
	b.refused(senseInvalidOpcode, CDB{opUnmap, 0, 0, 0, 0, 0, 0, 0, 24}, make([]byte, 24))
	b.refused(senseInvalidFieldInCDB, extentOf(opWriteSame16, bitUnmap, 0, 1), make([]byte, 512))
	b.good(extentOf(opWriteSame16, 0, 0, 1), make([]byte, 512), 0)
	c, err := ParseCapacity(b.good(ReadCapacity16CDB(32), nil, 32))
	require.NoError(t, err)
	require.False(t, c.CanUnmap)
	page := b.good(VPDCDB(vpdBlockProvisioning, 255), nil, 255)
	require.Equal(t, []byte{0, vpdBlockProvisioning, 0, 4, 0, 0, 0, 0}, page)
}

func TestProvision_inStepsOfTheDevice(t *testing.T) {
	b, seen := newZeroBench(t, nil)
	b.disk.limits.MaxBytes = 10000 // 19 whole blocks
	b.good(extentOf(opWriteSame16, bitNDOB, 0, 40), nil, 0)
	require.Equal(t, []zeroCall{{block.Range{Off: 0, Len: 9728}, 0}, {block.Range{Off: 9728, Len: 9728}, 0},
		{block.Range{Off: 19456, Len: 1024}, 0}}, seen.zeroes)
}

// unmapList builds the parameter list of UNMAP.
func unmapList(extents ...extent) []byte {
	b := make([]byte, unmapHeaderBytes)
	for _, e := range extents {
		b = binary.BigEndian.AppendUint64(b, e.lba)
		b = binary.BigEndian.AppendUint32(b, uint32(e.blocks))
		b = append(b, 0, 0, 0, 0)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-unmapHeaderBytes))
	return b
}

func unmapCDB(length int) CDB { return CDB{opUnmap, 0, 0, 0, 0, 0, 0, byte(length >> 8), byte(length)} }

func TestUnmap(t *testing.T) {
	b, seen := newZeroBench(t, nil)
	list := unmapList(extent{lba: 1, blocks: 2}, extent{lba: 5, blocks: 0}, extent{lba: 60, blocks: 4})
	b.good(unmapCDB(len(list)), list, 0)
	require.Equal(t, make([]byte, 1024), b.contents(1, 2))
	require.Equal(t, pattern(60)[3*512:], b.contents(3, 57))
	require.Equal(t, block.Unmap, seen.zeroes[0].Flags)

	before := b.contents(0, testBlocks)
	for _, test := range []struct {
		name string
		cdb  CDB
		list []byte
		want Sense
	}{
		{"a later descriptor is wrong", unmapCDB(40),
			unmapList(extent{lba: 3, blocks: 1}, extent{lba: testBlocks, blocks: 1}), senseLBAOutOfRange.sense()},
		{"shorter than the header", unmapCDB(7), list, senseListLength.sense()},
		{"list cut short on its way", unmapCDB(len(list)), list[:len(list)-1], senseListLength.sense()},
		{"descriptors longer than the list", unmapCDB(24), list, senseListLength.sense()},
		{"anchor", CDB{opUnmap, 1, 0, 0, 0, 0, 0, 0, 24}, list, senseInvalidFieldInCDB.sense()},
		{"too many descriptors", unmapCDB(8 + 16*257), unmapList(make([]extent, 257)...),
			senseInvalidFieldInList.sense()},
	} {
		r := b.do(test.cdb, test.list, 0)
		require.Equal(t, test.want.String(), r.Sense.String(), test.name)
	}
	require.Equal(t, before, b.contents(0, testBlocks), "what was refused changed nothing")
	b.good(unmapCDB(0), nil, 0)
	b.good(unmapCDB(8), unmapList(), 0)
}

func TestProvision_bounds(t *testing.T) {
	b := newBench(t, func(l *block.Limits) { l.SizeBytes = 4 << 30 }, nil)
	most := uint64(maxUnmapBytes / 512)
	list := unmapList(extent{lba: 0, blocks: most - 1}, extent{lba: most, blocks: 2})
	b.refused(senseInvalidFieldInList, unmapCDB(len(list)), list)
	b.refused(senseInvalidFieldInCDB, extentOf(opWriteSame16, bitNDOB, 0, maxWriteSameBytes/512+1), nil)
	seen := &zeroRecorder{Device: nothing{b.device}}
	b.disk.device = seen
	list = unmapList(extent{lba: 0, blocks: most - 1}, extent{lba: most, blocks: 1})
	b.good(unmapCDB(len(list)), list, 0)
	total := int64(0)
	for _, z := range seen.zeroes {
		require.LessOrEqual(t, z.Len, b.disk.limits.MaxBytes)
		total += z.Len
	}
	require.Equal(t, int64(maxUnmapBytes), total)
}

// nothing is a device that zeroes whatever is asked.
type nothing struct{ block.Device }

func (nothing) Zero(context.Context, block.Range, block.Flags) error { return nil }

func TestUnmap_failsPartWay(t *testing.T) {
	b, _ := newZeroBench(t, nil)
	arm := b.device.Arm(blocktest.Fault{Op: block.OpZero, Nth: 2, Err: block.ErrFenced})
	list := unmapList(extent{lba: 1, blocks: 1}, extent{lba: 2, blocks: 1})
	require.Equal(t, ReservationConflict, b.do(unmapCDB(len(list)), list, 0).Status)
	require.Equal(t, 1, arm.Struck())
}

func TestSynchronizeCache(t *testing.T) {
	b := newBench(t, nil, nil)
	seen := &flagRecorder{Device: b.device}
	b.disk.device = seen
	for i, op := range []byte{opSynchronizeCache10, opSynchronizeCache16} {
		b.good(extentOf(op, 0, 0, 0), nil, 0)
		b.good(extentOf(op, 2, 5, 5), nil, 0) // IMMED
		b.refused(senseLBAOutOfRange, extentOf(op, 0, testBlocks, 1), nil)
		require.Equal(t, 2*(i+1), seen.flushes)
	}
}

func TestStartStopUnit(t *testing.T) {
	b := newBench(t, nil, nil)
	b.good(CDB{opStartStopUnit, 0, 0, 0, 0x01}, nil, 0)
	for _, byte4 := range []byte{0x00, 0x02, 0x03, 0x11, 0x31} {
		b.refused(senseInvalidFieldInCDB, CDB{opStartStopUnit, 0, 0, 0, byte4}, nil)
	}
}
