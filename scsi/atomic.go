package scsi

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/holdfast-storage/holdfast/block"
)

const (
	// maxCompareAndWriteBlocks is MAXIMUM COMPARE AND WRITE LENGTH, a byte in the block limits page.
	maxCompareAndWriteBlocks = 255
	// maxAtomicBytes bounds WRITE ATOMIC.
	maxAtomicBytes = 1 << 20
)

// atomically runs f while no other command touches r, with the device as it is behind the gate.
func (d *Disk) atomically(ctx context.Context, r block.Range, f func(block.Device) error) error {
	h, err := d.gate.enterAtomic(ctx, r)
	if err != nil {
		return err
	}
	defer d.gate.leave(h)
	return f(d.ungated)
}

func fuaFlag(byte1 byte) block.Flags {
	if byte1&bitFUA != 0 {
		return block.FUA
	}
	return 0
}

// compareExtent decodes COMPARE AND WRITE, whose count is one byte (SBC-3 §5.2).
func compareExtent(cdb []byte) extent {
	return extent{binary.BigEndian.Uint64(cdb[2:]), uint64(cdb[13]), cdb[1]}
}

// compareRange is writable for COMPARE AND WRITE, which brings its blocks twice.
func (d *Disk) compareRange(cdb []byte) (block.Range, senseCode) {
	e := compareExtent(cdb)
	r, sense := d.writable(e)
	if sense == 0 && e.blocks > d.maxCompareBlocks() {
		return block.Range{}, senseInvalidFieldInCDB
	}
	return r, sense
}

func (d *Disk) maxCompareBlocks() uint64 {
	return uint64(min(maxCompareAndWriteBlocks, d.options.MaxTransferBytes/d.blockBytes/2))
}

func compareAndWriteLen(d *Disk, cdb []byte) int64 {
	r, _ := d.compareRange(cdb)
	return 2 * r.Len
}

// compareAndWrite is COMPARE AND WRITE: the second half of the data-out is written if the medium
// equals the first, and no other command comes between.
func compareAndWrite(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	r, sense := d.compareRange(cmd.CDB)
	switch {
	case sense != 0:
	case cmd.ExpectedOut > 2*r.Len:
		sense = senseInvalidFieldInCDB // the count, which is one byte, is not what the data is for
	case int64(len(cmd.DataOut)) < 2*r.Len:
		sense = senseInvalidFieldInIU
	}
	if sense != 0 {
		res.refuse(sense)
		return
	}
	if r.Empty() {
		return
	}
	want, data := cmd.DataOut[:r.Len], cmd.DataOut[r.Len:2*r.Len]
	have := make([]byte, r.Len)
	res.Fail(d.atomically(ctx, r, func(device block.Device) error {
		if err := device.Read(ctx, have, r.Off); err != nil {
			return err
		}
		if !bytes.Equal(have, want) {
			sense := senseMiscompare.sense()
			sense.Valid, sense.Information = true, firstDifference(have, want)
			res.CheckCondition(sense)
			return nil
		}
		return device.Write(ctx, data, r.Off, fuaFlag(cmd.CDB[1]))
	}))
}

// orWrite is ORWRITE (16): each bit that is set in the data-out is set on the medium.
func orWrite(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	e := decodeExtent(cmd.CDB)
	r, sense := d.writable(e)
	if sense != 0 {
		res.refuse(sense)
		return
	}
	data := d.cutToBlocks(cmd.DataOut, r)
	if r.Len = int64(len(data)); r.Empty() {
		return
	}
	have := make([]byte, r.Len)
	res.Fail(d.atomically(ctx, r, func(device block.Device) error {
		if err := device.Read(ctx, have, r.Off); err != nil {
			return err
		}
		for i, b := range data {
			have[i] |= b
		}
		return device.Write(ctx, have, r.Off, fuaFlag(e.byte1))
	}))
}

// atomicBlocks is ATOMIC ALIGNMENT and ATOMIC TRANSFER LENGTH GRANULARITY, and the most blocks of one
// WRITE ATOMIC, a multiple of it.
func (d *Disk) atomicBlocks() (unit, most uint64) {
	unit = uint64(max(1, physicalBlockBytes/d.blockBytes))
	most = uint64(min(maxAtomicBytes, d.options.MaxTransferBytes) / d.blockBytes)
	return unit, most - most%unit
}

// atomicRange decodes WRITE ATOMIC (16), whose count is two bytes; a boundary of zero is none, and no
// other is supported (SBC-4 §5.48).
func (d *Disk) atomicRange(cdb []byte) (block.Range, senseCode) {
	e := extent{binary.BigEndian.Uint64(cdb[2:]), uint64(binary.BigEndian.Uint16(cdb[12:])), cdb[1]}
	r, sense := d.writable(e)
	unit, most := d.atomicBlocks()
	boundary := binary.BigEndian.Uint16(cdb[10:])
	if sense == 0 && (boundary != 0 || e.lba%unit != 0 || e.blocks%unit != 0 || e.blocks > most) {
		return block.Range{}, senseInvalidFieldInCDB
	}
	return r, sense
}

func writeAtomicLen(d *Disk, cdb []byte) int64 {
	r, _ := d.atomicRange(cdb)
	return r.Len
}

// writeAtomic is WRITE ATOMIC (16). Every other command sees all of it or nothing. A power cut may
// leave a part of it, as it may with WRITE: the device below promises no more than its own blocks.
func writeAtomic(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	r, sense := d.atomicRange(cmd.CDB)
	if sense == 0 && int64(len(cmd.DataOut)) < r.Len {
		sense = senseInvalidFieldInIU // a part of it would not be atomic
	}
	if sense != 0 {
		res.refuse(sense)
		return
	}
	if r.Empty() {
		return
	}
	res.Fail(d.atomically(ctx, r, func(device block.Device) error {
		return device.Write(ctx, cmd.DataOut[:r.Len], r.Off, fuaFlag(cmd.CDB[1]))
	}))
}
