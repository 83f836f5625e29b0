package scsi

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

func TestInquiry_standard(t *testing.T) {
	b := newBench(t, nil, func(o *Options) { o.VendorID, o.ProductID, o.Revision = "ACME", "LEG", "2.1" })
	data := b.good(InquiryCDB(255), nil, 255)
	require.Len(t, data, inquiryBytes)
	require.Equal(t, []byte{0, 0, 6, 2, 91, 8, 0, 2}, data[:8])
	require.Equal(t, "ACME    LEG             2.1 ", string(data[8:36]))
	for _, n := range []uint16{0, 4, 36, 96} {
		require.Len(t, b.good(InquiryCDB(n), nil, 4096), int(n), "the allocation length is exact")
	}
	b.refused(senseInvalidFieldInCDB, CDB{opInquiry, 0, 0x80, 0, 255}, nil)
	b.refused(senseInvalidFieldInCDB, VPDCDB(0x84, 255), nil)
}

func TestVPD_pages(t *testing.T) {
	b := newBench(t, nil, nil)
	for _, page := range b.good(VPDCDB(vpdSupportedPages, 255), nil, 255)[4:] {
		data := b.good(VPDCDB(page, 4096), nil, 4096)
		require.Equal(t, page, data[1])
		require.Len(t, data, 4+int(binary.BigEndian.Uint16(data[2:])))
	}
	require.Equal(t, "hf-0001", string(b.good(VPDCDB(vpdUnitSerialNumber, 255), nil, 255)[4:]))

	id := b.good(VPDCDB(vpdDeviceIdentification, 255), nil, 255)[4:]
	require.Equal(t, []byte{1, 3, 0, 8}, id[:4])
	require.Equal(t, LocalNAA([]byte("test")), id[4:12])
	require.Equal(t, byte(3), id[4]>>4)
	require.Equal(t, []byte{2, 1, 0, 15}, id[12:16])
	require.Equal(t, "HOLDFASThf-0001", string(id[16:31]))
	require.Equal(t, []byte{0x51, 0x94, 0, 4, 0, 0, 0, 1}, id[31:], "relative target port 1, of iSCSI")

	limits := b.good(VPDCDB(vpdBlockLimits, 255), nil, 255)
	want := BlockLimits{MaxTransfer: 64, MaxWriteSame: maxWriteSameBytes / 512}
	require.Equal(t, want, ParseBlockLimits(limits))
	require.Equal(t, byte(1), limits[4], "WSNZ")
	require.Equal(t, uint32(maxUnmapDescriptors), binary.BigEndian.Uint32(limits[24:]))

	provisioning := b.good(VPDCDB(vpdBlockProvisioning, 255), nil, 255)
	require.Equal(t, []byte{0, 0xb2, 0, 4, 0, 0xe4, 2, 0}, provisioning)
	require.True(t, WriteSameUnmaps(provisioning))
	require.Equal(t, byte(1), b.good(VPDCDB(vpdBlockCharacteristics, 255), nil, 255)[5], "non-rotating")

	for n := range len(limits) { // an initiator must bear pages that were cut short
		require.LessOrEqual(t, ParseBlockLimits(limits[:n]).MaxTransfer, uint64(64))
	}
	for n := range 6 {
		require.False(t, WriteSameUnmaps(provisioning[:n]))
	}
}

func TestReadCapacity(t *testing.T) {
	b := newBench(t, nil, nil)
	require.Equal(t, []byte{0, 0, 1, 0xff, 0, 0, 2, 0}, b.good(CDB{opReadCapacity10}, nil, 8))
	data := b.good(ReadCapacity16CDB(32), nil, 32)
	require.Equal(t, []byte{0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2, 0, 0, 3, 0xc0, 0}, data[:16])
	require.Len(t, b.good(ReadCapacity16CDB(12), nil, 32), 12)
	c, err := ParseCapacity(data)
	require.NoError(t, err)
	require.Equal(t, Capacity{Blocks: testBlocks, BlockBytes: 512, CanUnmap: true, ReadsZero: true}, c)

	for n := range 16 {
		_, err := ParseCapacity(data[:n])
		require.Error(t, err)
	}
	for _, bad := range []Capacity{{Blocks: 1 << 60, BlockBytes: 512}, {Blocks: 0, BlockBytes: 512},
		{Blocks: 9, BlockBytes: 520}, {Blocks: 9, BlockBytes: 256}, {Blocks: 9, BlockBytes: 1}} {
		_, err := ParseCapacity(bad.append(nil))
		require.Error(t, err, bad)
	}
}

func TestReadCapacity10_saysThatItCannotTell(t *testing.T) {
	b := newBench(t, func(l *block.Limits) { l.SizeBytes = 4 << 40 }, nil)
	require.Equal(t, uint32(math.MaxUint32), binary.BigEndian.Uint32(b.good(CDB{opReadCapacity10}, nil, 8)))
}

func TestModeSense(t *testing.T) {
	b := newBench(t, func(l *block.Limits) { l.Volatile = true }, nil)
	six := b.good(CDB{opModeSense6, 0, pageAll, 0, 255}, nil, 255)
	require.Equal(t, []byte{43, 0, modeDPOFUA, 8, 0, 0, 2, 0, 0, 0, 2, 0}, six[:12])
	require.Equal(t, []byte{pageCaching, 18, 0x04}, six[12:15])
	require.Equal(t, []byte{pageControl, 10}, six[32:34])
	require.Len(t, six, 44)
	require.Len(t, b.good(CDB{opModeSense6, 8, pageAll, subpageEvery, 255}, nil, 255), 36, "DBD")
	require.Len(t, b.good(CDB{opModeSense6, 8, pageControl, 0, 5}, nil, 255), 5)

	ten := b.good(ModeSense10CDB(pageCaching, 255), nil, 255)
	require.Equal(t, []byte{0, 26, 0, modeDPOFUA, 0, 0, 0, 0, pageCaching}, ten[:9])
	require.True(t, WriteCacheEnabled(ten))
	require.False(t, WriteProtected(ten))
	long := b.good(CDB{opModeSense10, 0x10, pageCaching, 0, 0, 0, 0, 0, 255}, nil, 255)
	require.Equal(t, []byte{1, 0, 0, 16, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0}, long[4:24])
	require.True(t, WriteCacheEnabled(long))

	changeable := b.good(CDB{opModeSense6, 8, 1<<6 | pageCaching, 0, 255}, nil, 255)
	require.Equal(t, append([]byte{pageCaching, 18}, make([]byte, 18)...), changeable[4:])
	b.refused(senseSavingNotSupported, CDB{opModeSense6, 8, 3<<6 | pageCaching, 0, 255}, nil)
	b.refused(senseInvalidFieldInCDB, CDB{opModeSense6, 8, 0x1c, 0, 255}, nil)
	b.refused(senseInvalidFieldInCDB, CDB{opModeSense6, 8, pageControl, 1, 255}, nil)

	for n := range 11 {
		require.True(t, WriteCacheEnabled(ten[:n]), "what is not known must be flushed")
	}
	safe := newBench(t, func(l *block.Limits) { l.ReadOnly = true }, nil)
	ten = safe.good(ModeSense10CDB(pageCaching, 255), nil, 255)
	require.False(t, WriteCacheEnabled(ten))
	require.True(t, WriteProtected(ten))
}

func TestModeSelect_acceptsOnlyWhatIs(t *testing.T) {
	b := newBench(t, func(l *block.Limits) { l.Volatile = true }, nil)
	six := b.good(CDB{opModeSense6, 0, pageAll, 0, 255}, nil, 255)
	six[0], six[2] = 0, 0 // reserved in MODE SELECT
	b.good(CDB{opModeSelect6, 0x10, 0, 0, byte(len(six))}, six, 0)
	ten := b.good(CDB{opModeSense10, 0x10, pageAll, 0, 0, 0, 0, 0, 255}, nil, 255)
	b.good(CDB{opModeSelect10, 0x10, 0, 0, 0, 0, 0, 0, byte(len(ten))}, ten, 0)
	b.good(CDB{opModeSelect6, 0x10}, nil, 0)

	n := byte(len(six))
	b.refused(senseInvalidFieldInCDB, CDB{opModeSelect6, 0, 0, 0, n}, six)
	b.refused(senseInvalidFieldInCDB, CDB{opModeSelect6, 0x11, 0, 0, n}, six)
	for i := 1; i < 4; i++ {
		b.refused(senseListLength, CDB{opModeSelect6, 0x10, 0, 0, byte(i)}, six)
	}
	b.refused(senseListLength, CDB{opModeSelect6, 0x10, 0, 0, n}, six[:n-1])
	b.refused(senseListLength, CDB{opModeSelect6, 0x10, 0, 0, n - 1}, six)
	for i := range six { // every change of a byte is refused, but for those that say nothing
		changed := append([]byte(nil), six...)
		changed[i] ^= 0x04
		saysNothing := i < 3 || i == 12 || i == 32
		r := b.do(CDB{opModeSelect6, 0x10, 0, 0, n}, changed, 0)
		if !saysNothing {
			require.Equal(t, CheckCondition, r.Status, "byte %d", i)
		}
	}
}

func TestReportLUNs(t *testing.T) {
	do := func(cdb CDB, room int) (Response, []byte) {
		var res Response
		cmd := Command{CDB: cdb[:], DataIn: make([]byte, room)}
		ReportLUNs([]uint64{0, 1 << 48}, &cmd, &res)
		return res, cmd.DataIn[:min(res.InLen, int64(room))]
	}
	require.True(t, IsReportLUNs(sliceOf(ReportLUNsCDB(16))))
	_, data := do(ReportLUNsCDB(4096), 4096)
	require.Len(t, data, int(ReportLUNsLen(2)))
	luns, complete := ParseReportLUNs(data)
	require.True(t, complete)
	require.Equal(t, []uint64{0, 1 << 48}, luns)

	_, data = do(ReportLUNsCDB(16), 4096)
	luns, complete = ParseReportLUNs(data)
	require.False(t, complete)
	require.Equal(t, []uint64{0}, luns)

	res, _ := do(ReportLUNsCDB(15), 4096)
	require.Equal(t, senseInvalidFieldInCDB.sense(), res.Sense)
	_, data = do(CDB{opReportLUNs, 0, 1, 0, 0, 0, 0, 0, 1}, 256)
	require.Equal(t, make([]byte, 8), data, "no well known units")
	_, complete = ParseReportLUNs(data[:7])
	require.False(t, complete)
}
