package scsi

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/block/memdev"
)

const testBlocks = 512 // of 512 bytes

// bench is a Disk over a faulty memory device, driven as the target drives it.
type bench struct {
	t      *testing.T
	disk   *Disk
	device *blocktest.Faulty
	nexus  Nexus
}

func testOptions() Options {
	return Options{Serial: "hf-0001", NAA: LocalNAA([]byte("test")), MaxTransferBytes: 64 * 512}
}

func newBench(t *testing.T, limits func(*block.Limits), change func(*Options)) *bench {
	t.Helper()
	mem, err := memdev.New(memdev.Options{SizeBytes: testBlocks * 512})
	require.NoError(t, err)
	t.Cleanup(func() { _ = mem.Close() })
	faulty := blocktest.NewFaulty(limited{mem, limits})
	o := testOptions()
	if change != nil {
		change(&o)
	}
	disk, err := New(faulty, o)
	require.NoError(t, err)
	b := &bench{t: t, disk: disk, device: faulty}
	require.Equal(t, sensePowerOn.sense(), b.do(TestUnitReadyCDB(), nil, 0).Sense, "a new nexus")
	return b
}

// limited is a device that says something else of itself.
type limited struct {
	block.Device
	change func(*block.Limits)
}

func (l limited) Limits() block.Limits {
	limits := l.Device.Limits()
	if l.change != nil {
		l.change(&limits)
	}
	return limits
}

type result struct {
	Response
	data []byte // data-in as the initiator gets it
}

// do runs a command the way the target does: it fetches no more data-out and offers no more room
// than the unit asked for.
func (b *bench) do(cdb CDB, out []byte, expect int64) result {
	b.t.Helper()
	outLen, inLen := b.disk.DataOutLen(cdb[:]), b.disk.DataInLen(cdb[:])
	cmd := Command{CDB: cdb[:], Nexus: b.nexus, ExpectedOut: int64(len(out)),
		DataOut: out[:min(outLen, int64(len(out)))], DataIn: make([]byte, min(inLen, expect))}
	var res Response
	b.disk.Execute(b.t.Context(), &cmd, &res)
	if res.Status != Good {
		require.Zero(b.t, res.InLen)
	}
	require.LessOrEqual(b.t, res.InLen, inLen, "DataInLen is an upper bound")
	return result{res, cmd.DataIn[:min(res.InLen, int64(len(cmd.DataIn)))]}
}

func (b *bench) good(cdb CDB, out []byte, expect int64) []byte {
	b.t.Helper()
	r := b.do(cdb, out, expect)
	require.Equalf(b.t, Good, r.Status, "%v", r.Sense)
	return r.data
}

func (b *bench) refused(want senseCode, cdb CDB, out []byte) {
	b.t.Helper()
	b.refusedWith(want.sense(), cdb, out)
}

func (b *bench) refusedWith(want Sense, cdb CDB, out []byte) {
	b.t.Helper()
	r := b.do(cdb, out, 1<<16)
	require.Equal(b.t, CheckCondition, r.Status)
	require.Equal(b.t, want.String(), r.Sense.String())
	require.Equal(b.t, want, r.Sense)
}

// contents returns blocks of the device, past the Disk.
func (b *bench) contents(lba, blocks int64) []byte {
	b.t.Helper()
	p := make([]byte, blocks*512)
	require.NoError(b.t, b.device.Read(context.Background(), p, lba*512))
	return p
}

// pattern returns blocks that differ from each other and hold no zero.
func pattern(blocks int) []byte {
	p := make([]byte, blocks*512)
	for i := range p {
		p[i] = byte(1 + (i/512*7+i)%255)
	}
	return p
}

func repeated(v byte, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = v
	}
	return p
}

// extentOf builds the CDB of any command that names an LBA and a count.
func extentOf(opcode, byte1 byte, lba uint64, blocks uint32) CDB {
	cdb := CDB{opcode, byte1}
	switch opcode >> 5 {
	case 0:
		binary.BigEndian.PutUint16(cdb[2:], uint16(lba))
		cdb[1], cdb[4] = byte(lba>>16)&0x1f, byte(blocks)
	case 1, 2:
		binary.BigEndian.PutUint32(cdb[2:], uint32(lba))
		binary.BigEndian.PutUint16(cdb[7:], uint16(blocks))
	case 5:
		binary.BigEndian.PutUint32(cdb[2:], uint32(lba))
		binary.BigEndian.PutUint32(cdb[6:], blocks)
	default:
		return extentCDB(opcode, byte1, lba, blocks)
	}
	return cdb
}

func TestNew_refusesBadOptions(t *testing.T) {
	mem, err := memdev.New(memdev.Options{SizeBytes: 4096, BlockBytes: 4096})
	require.NoError(t, err)
	_, err = New(mem, Options{VendorID: "much too long", Serial: "", NAA: []byte{1}, BlockBytes: 512})
	for _, part := range []string{"vendor id", "serial is empty", "naa 01", "block size 512 is no multiple"} {
		require.ErrorContains(t, err, part)
	}
	_, err = New(mem, Options{Serial: "s", NAA: LocalNAA(nil)})
	require.NoError(t, err)
}

func TestDisk_presentsTheDevicesBlocks(t *testing.T) {
	mem, err := memdev.New(memdev.Options{SizeBytes: 1 << 20, BlockBytes: 4096})
	require.NoError(t, err)
	disk, err := New(mem, testOptions())
	require.NoError(t, err)
	b := &bench{t: t, disk: disk}
	b.do(TestUnitReadyCDB(), nil, 0)
	c, err := ParseCapacity(b.good(ReadCapacity16CDB(32), nil, 32))
	require.NoError(t, err)
	require.Equal(t, Capacity{Blocks: 256, BlockBytes: 4096, CanUnmap: true, ReadsZero: true}, c)
	b.good(Write16CDB(255, 1, false), repeated(7, 4096), 0)
	require.Equal(t, repeated(7, 4096), b.good(Read16CDB(255, 1), nil, 4096))
}

func TestUnitAttention_oncePerNexus(t *testing.T) {
	b := newBench(t, nil, nil)
	b.nexus = Nexus{InitiatorName: "iqn.other", ISID: [6]byte{1}}
	require.Len(t, b.good(InquiryCDB(36), nil, 36), 36, "INQUIRY does not report it")
	b.good(ReportLUNsCDB(64), nil, 64)
	require.Equal(t, sensePowerOn.sense(), b.do(extentOf(opRead10, 0, 0, 1), nil, 512).Sense)
	b.good(extentOf(opRead10, 0, 0, 1), nil, 512)

	b.nexus.ISID[0] = 2 // REQUEST SENSE reports it and clears it
	sense, err := ParseSense(b.good(CDB{opRequestSense, 0, 0, 0, 252}, nil, 252))
	require.NoError(t, err)
	require.Equal(t, sensePowerOn.sense(), sense)
	b.good(TestUnitReadyCDB(), nil, 0)

	for i := range 3 * maxKnownNexuses { // a flood of nexuses is forgotten, never refused
		b.nexus = Nexus{InitiatorName: "iqn.flood", TPGT: uint16(i)}
		require.Equal(t, sensePowerOn.sense(), b.do(TestUnitReadyCDB(), nil, 0).Sense)
		b.good(TestUnitReadyCDB(), nil, 0)
	}
	require.LessOrEqual(t, len(*b.disk.attention.known.Load()), maxKnownNexuses)
}

func TestVendor_hook(t *testing.T) {
	plain := newBench(t, nil, nil)
	plain.refused(senseInvalidOpcode, CDB{0xc0, 1}, nil)
	require.Zero(t, plain.disk.DataInLen(make([]byte, 16)))

	b := newBench(t, nil, func(o *Options) {
		o.VendorDataOutLen = func(cdb []byte) int64 { return int64(cdb[2]) << 12 }
		o.Vendor = func(_ context.Context, cmd *Command, res *Response) bool {
			if cmd.CDB[1] != 1 {
				return false
			}
			res.Reply(cmd, append([]byte("got "), cmd.DataOut...), 1<<20)
			return true
		}
	})
	b.nexus.InitiatorName = "a nexus with a unit attention: vendor commands pass it by"
	out := repeated('x', 5000)
	require.Equal(t, "got "+string(out[:4096]), string(b.good(CDB{0xc0, 1, 1}, out, 1<<16)))
	require.Equal(t, "got ", string(b.good(CDB{0xc0, 1, 255}, out, 1<<16)), "too much data-out is none")
	b.refused(senseInvalidOpcode, CDB{0xc0, 2}, nil)
}

func TestNoLUN(t *testing.T) {
	var n NoLUN
	do := func(cdb CDB) (Response, []byte) {
		var res Response
		cmd := Command{CDB: cdb[:], DataIn: make([]byte, n.DataInLen(cdb[:]))}
		n.Execute(t.Context(), &cmd, &res)
		require.Zero(t, n.DataOutLen(cdb[:]))
		return res, cmd.DataIn[:res.InLen]
	}
	res, data := do(InquiryCDB(255))
	require.Equal(t, Good, res.Status)
	require.Equal(t, byte(0x7f), data[0], "not capable of supporting a unit here")
	res, data = do(CDB{opRequestSense, 0, 0, 0, 18})
	require.Equal(t, Good, res.Status)
	sense, err := ParseSense(data)
	require.NoError(t, err)
	require.Equal(t, senseLUNNotSupported.sense(), sense)
	for _, cdb := range []CDB{TestUnitReadyCDB(), Read16CDB(0, 1), Write16CDB(0, 1, false), VPDCDB(0x80, 255)} {
		res, _ = do(cdb)
		require.Equal(t, Response{Status: CheckCondition, Sense: senseLUNNotSupported.sense()}, res)
	}
}

// FuzzCDB proves that no CDB panics, reaches outside the device, or lies about its lengths.
func FuzzCDB(f *testing.F) {
	for _, op := range allOperations() {
		f.Add(append(append([]byte(nil), op.usage...), make([]byte, 16)...), []byte{1, 2, 3})
		f.Add(append([]byte{op.opcode(), op.action()}, make([]byte, 30)...), pattern(2))
	}
	f.Fuzz(func(t *testing.T, cdb, out []byte) {
		mem, err := memdev.New(memdev.Options{SizeBytes: testBlocks * 512})
		require.NoError(t, err)
		o := testOptions()
		o.Reservations = true
		disk, err := New(mem, o)
		require.NoError(t, err)
		for range 2 { // the second time without the unit attention
			outLen, inLen := disk.DataOutLen(cdb), disk.DataInLen(cdb)
			if outLen < 0 || inLen < 0 || outLen > 1<<16 || inLen > int64(maxReserveIn) {
				t.Fatalf("% x: data-out %d, data-in %d", cdb, outLen, inLen)
			}
			sent := out[:min(outLen, int64(len(out)))]
			cmd := Command{CDB: cdb, DataOut: sent, DataIn: make([]byte, inLen)}
			var res Response
			disk.Execute(t.Context(), &cmd, &res)
			if res.InLen > inLen || res.Status != Good && res.InLen != 0 ||
				(res.Status == CheckCondition) != (res.Sense != Sense{}) {
				t.Fatalf("% x: %+v with data-in of %d", cdb, res, inLen)
			}
			if res.Sense == senseInternalFailure.sense() {
				t.Fatalf("% x: the device refused what the unit let pass", cdb)
			}
		}
	})
}
