package scsi

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
)

var (
	reads    = []byte{opRead6, opRead10, opRead12, opRead16}
	writes   = []byte{opWrite6, opWrite10, opWrite12, opWrite16}
	verifies = []byte{opVerify10, opVerify12, opVerify16}
	wverify  = []byte{opWriteAndVerify10, opWriteAndVerify12, opWriteAndVerify16}
)

func TestReadWrite_everyLength(t *testing.T) {
	b := newBench(t, nil, nil)
	for i, op := range writes {
		lba := uint64(10 + 20*i)
		b.good(extentOf(op, 0, lba, 3), pattern(3), 0)
		require.Equal(t, pattern(3), b.contents(int64(lba), 3))
		require.Equal(t, pattern(3), b.good(extentOf(reads[i], 0, lba, 3), nil, 3*512))
	}
}

func TestReadWrite_refused(t *testing.T) {
	b := newBench(t, nil, nil)
	for i, op := range append(append([]byte{}, reads...), writes...) {
		name := fmt.Sprintf("%d opcode %#x", i, op)
		b.refused(senseLBAOutOfRange, extentOf(op, 0, testBlocks, 1), pattern(1))
		b.refused(senseLBAOutOfRange, extentOf(op, 0, testBlocks-1, 2), pattern(2))
		require.Zero(t, b.disk.DataOutLen(sliceOf(extentOf(op, 0, testBlocks-1, 2))), name)
		if op == opRead6 || op == opWrite6 {
			// A count of zero means 256 blocks here, which is more than one transfer may have.
			b.refused(senseInvalidFieldInCDB, extentOf(op, 0, 0, 0), pattern(1))
			continue
		}
		b.good(extentOf(op, 0, testBlocks, 0), nil, 512)
		b.refused(senseLBAOutOfRange, extentOf(op, 0, testBlocks+1, 0), nil)
		b.refused(senseInvalidFieldInCDB, extentOf(op, 0, 0, 65), pattern(65))
		b.refused(senseInvalidFieldInCDB, extentOf(op, 0x20, 0, 1), pattern(1))
	}
	b.refused(senseLBAOutOfRange, Read16CDB(1<<63, 1), nil)
	b.refused(senseLBAOutOfRange, Read16CDB(1<<64-1, 1<<32-1), nil)
	require.Equal(t, make([]byte, testBlocks*512), b.contents(0, testBlocks), "what was refused changed nothing")
}

func sliceOf(cdb CDB) []byte { return cdb[:] }

// A CDB may ask for more or less than the initiator expects; the target reports the difference.
func TestReadWrite_residuals(t *testing.T) {
	b := newBench(t, nil, nil)
	b.good(extentOf(opWrite10, 0, 0, 4), pattern(4), 0)

	for _, expect := range []int64{0, 1, 511, 512, 700, 2048} {
		r := b.do(extentOf(opRead10, 0, 0, 4), nil, expect)
		require.Equal(t, Good, r.Status)
		require.Equal(t, int64(2048), r.InLen, "what the unit wanted to send")
		require.Equal(t, pattern(4)[:expect], r.data)
	}
	r := b.do(extentOf(opRead10, 0, 0, 4), nil, 10000)
	require.Equal(t, pattern(4), r.data)

	// Less data-out than the CDB names: whole blocks are written, nothing else is touched.
	b.good(extentOf(opWrite10, 0, 8, 3), pattern(3)[:1024+100], 0)
	require.Equal(t, append(pattern(2), make([]byte, 512)...), b.contents(8, 3))
}

func TestWrite_FUA(t *testing.T) {
	b := newBench(t, func(l *block.Limits) { l.Volatile = true }, nil)
	seen := &flagRecorder{Device: b.device}
	b.disk.device = seen
	for _, op := range []byte{opWrite10, opWrite12, opWrite16} {
		seen.flags, seen.flushes = nil, 0
		b.good(extentOf(op, bitFUA|bitDPO, 0, 1), pattern(1), 0)
		b.good(extentOf(op, bitDPO, 0, 1), pattern(1), 0)
		require.Equal(t, []block.Flags{block.FUA, 0}, seen.flags)
	}
	seen.flushes = 0
	b.good(extentOf(opRead16, bitFUA, 0, 1), nil, 512)
	require.Equal(t, 1, seen.flushes, "what a FUA read returned is on the medium")
	b.good(extentOf(opRead16, 0, 0, 1), nil, 512)
	require.Equal(t, 1, seen.flushes)
}

type flagRecorder struct {
	block.Device
	flags   []block.Flags
	flushes int
}

func (d *flagRecorder) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	d.flags = append(d.flags, f)
	return d.Device.Write(ctx, p, off, f)
}

func (d *flagRecorder) Flush(ctx context.Context) error {
	d.flushes++
	return d.Device.Flush(ctx)
}

func TestReadOnly_everyChangeIsRefused(t *testing.T) {
	b := newBench(t, func(l *block.Limits) { l.ReadOnly = true }, nil)
	var changes []CDB
	for _, op := range append(append([]byte{}, writes...), wverify...) {
		changes = append(changes, extentOf(op, 0, 0, 1))
	}
	changes = append(changes, extentOf(opWriteSame10, 0, 0, 1), extentOf(opWriteSame16, bitNDOB, 0, 1),
		extentOf(opWriteSame16, bitUnmap, 0, 1), CDB{opUnmap, 0, 0, 0, 0, 0, 0, 0, 24})
	for _, cdb := range changes {
		b.refused(senseWriteProtected, cdb, pattern(1))
		require.Zero(t, b.disk.DataOutLen(cdb[:]))
	}
}

func TestErrors_ofTheDeviceAreReported(t *testing.T) {
	b := newBench(t, func(l *block.Limits) { l.Volatile = true }, nil)
	tests := []struct {
		op  block.Op
		cdb CDB
	}{
		{block.OpRead, Read16CDB(0, 1)},
		{block.OpWrite, Write16CDB(0, 1, false)},
		{block.OpFlush, SynchronizeCache16CDB(0, 0)},
		{block.OpFlush, extentOf(opRead16, bitFUA, 0, 1)},
		{block.OpZero, WriteSame16CDB(0, 1, false)},
		{block.OpRead, extentOf(opVerify16, 0, 0, 1)},
		{block.OpRead, extentOf(opWriteAndVerify16, 0, 0, 1)},
		{block.OpWrite, extentOf(opWriteAndVerify16, 0, 0, 1)},
	}
	for _, test := range tests {
		for _, err := range []error{block.ErrFenced, block.ErrMedium, block.ErrNoSpace, block.ErrFailed} {
			arm := b.device.Arm(blocktest.Fault{Op: test.op, Err: err})
			r := b.do(test.cdb, make([]byte, 512), 512)
			arm.Switch(false)
			status, sense := SenseFor(err)
			require.Equal(t, Response{Status: status, Sense: sense}, r.Response, "%v of %#x", test.op, test.cdb[0])
			require.Equal(t, 1, arm.Struck())
		}
	}
}

func TestVerify(t *testing.T) {
	b := newBench(t, nil, nil)
	b.good(extentOf(opWrite10, 0, 0, 60), pattern(60), 0)
	wrong := pattern(3)
	wrong[2*512+5]++
	mismatch := senseMiscompare.sense()
	mismatch.Valid, mismatch.Information = true, 2*512+5
	for _, op := range verifies {
		b.good(extentOf(op, compareNothing<<1, 0, 60), nil, 0)
		b.good(extentOf(op, compareAll<<1, 0, 60), pattern(60), 0)
		b.refusedWith(mismatch, extentOf(op, compareAll<<1, 0, 3), wrong)
		b.good(extentOf(op, compareOneBlock<<1, 0, 1), pattern(1), 0)
		mismatchTwo := mismatch
		mismatchTwo.Information = 512
		b.refusedWith(mismatchTwo, extentOf(op, compareOneBlock<<1, 0, 2), pattern(1))
		b.refused(senseInvalidFieldInCDB, extentOf(op, compareReserved<<1, 0, 1), pattern(1))
		b.refused(senseInvalidFieldInIU, extentOf(op, compareAll<<1, 0, 3), pattern(3)[:1000])
		b.refused(senseLBAOutOfRange, extentOf(op, 0, testBlocks, 1), nil)
		b.good(extentOf(op, compareAll<<1, 0, 0), nil, 0)
	}
}

func TestWriteAndVerify(t *testing.T) {
	b := newBench(t, nil, nil)
	for i, op := range wverify {
		lba := uint64(10 * i)
		b.good(extentOf(op, compareAll<<1, lba, 3), pattern(3), 0)
		require.Equal(t, pattern(3), b.contents(int64(lba), 3))
		b.good(extentOf(op, compareNothing<<1, lba, 3), repeated(9, 3*512), 0)
		require.Equal(t, repeated(9, 3*512), b.contents(int64(lba), 3))
		b.refused(senseInvalidFieldInCDB, extentOf(op, compareOneBlock<<1, lba, 3), pattern(3))
		require.Equal(t, repeated(9, 3*512), b.contents(int64(lba), 3), "refused before it was written")
	}
	b.disk.device = &scrambler{b.device}
	r := b.do(extentOf(opWriteAndVerify16, compareAll<<1, 0, 1), pattern(1), 0)
	require.Equal(t, Miscompare, r.Sense.Key, "a device that stores something else is found out")
}

// scrambler is a device that stores something else than it was given.
type scrambler struct{ block.Device }

func (d *scrambler) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	p = append([]byte(nil), p...)
	p[len(p)/2] ^= 1
	return d.Device.Write(ctx, p, off, f)
}

func TestReadWrite_doNotAllocate(t *testing.T) {
	b := newBench(t, nil, nil)
	read, write := Read16CDB(0, 8), Write16CDB(0, 8, true)
	in := Command{CDB: read[:], DataIn: make([]byte, 8*512)}
	out := Command{CDB: write[:], DataOut: make([]byte, 8*512)}
	ctx := context.Background()
	var res Response
	b.disk.device = quick{b.device}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		res = Response{}
		b.disk.Execute(ctx, &in, &res)
		b.disk.DataOutLen(write[:])
		b.disk.Execute(ctx, &out, &res)
	}))
	require.Equal(t, Good, res.Status)
}

// quick is a device that does nothing, so that only the Disk's own allocations count.
type quick struct{ block.Device }

func (quick) Read(context.Context, []byte, int64) error               { return nil }
func (quick) Write(context.Context, []byte, int64, block.Flags) error { return nil }
