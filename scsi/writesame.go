package scsi

import (
	"bytes"
	"context"

	"github.com/holdfast-storage/holdfast/block"
)

// provision is locate for WRITE SAME and UNMAP, which may name more blocks than a transfer.
func (d *Disk) provision(e extent, most int64) (block.Range, senseCode) {
	r, sense := d.locate(e)
	switch {
	case sense != 0:
		return block.Range{}, sense
	case r.Len > most:
		return block.Range{}, senseInvalidFieldInCDB
	case d.writeProtected():
		return block.Range{}, senseWriteProtected
	}
	return r, 0
}

// checkWriteSame decodes WRITE SAME (10/16). A count of zero ("to the end") is refused, as WSNZ in
// the block limits page says; so are ANCHOR, which nothing here can do, and the obsolete bits.
func (d *Disk) checkWriteSame(cdb []byte) (r block.Range, noData bool, flags block.Flags, sense senseCode) {
	e := decodeExtent(cdb)
	noData = cdb[0] == opWriteSame16 && e.byte1&bitNDOB != 0
	refused := byte(bitAnchor | 0x06)
	if cdb[0] == opWriteSame10 {
		refused |= bitNDOB
	}
	if e.byte1&bitUnmap != 0 {
		flags = block.Unmap
		if !d.limits.CanUnmap {
			refused |= bitUnmap
		}
	}
	if e.byte1&refused != 0 || e.blocks == 0 {
		return block.Range{}, false, 0, senseInvalidFieldInCDB
	}
	r, sense = d.provision(e, maxWriteSameBytes)
	return r, noData, flags, sense
}

// writeSameLen is the data-out of WRITE SAME (10/16): one block, or none with NDOB.
func writeSameLen(d *Disk, cdb []byte) int64 {
	if _, noData, _, sense := d.checkWriteSame(cdb); sense != 0 || noData {
		return 0
	}
	return d.blockBytes
}

// writeSame is WRITE SAME (10/16).
func writeSame(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	r, noData, flags, sense := d.checkWriteSame(cmd.CDB)
	if sense == 0 && !noData && !cmd.bringsExactly(d.blockBytes) {
		sense = senseInvalidFieldInIU
	}
	if sense != 0 {
		res.refuse(sense)
		return
	}
	if noData || allZero(cmd.DataOut[:d.blockBytes]) {
		res.Fail(d.zero(ctx, r, flags))
		return
	}
	// Unmapped blocks read as zeroes here, so UNMAP with other data has to write it (SBC-3
	// WRITE SAME (16): the unit may always write).
	res.Fail(d.repeat(ctx, cmd.DataOut[:d.blockBytes], r))
}

// zero zeroes r in steps that the device takes at once.
func (d *Disk) zero(ctx context.Context, r block.Range, flags block.Flags) error {
	step := r.Len
	if d.limits.MaxBytes > 0 {
		step = d.limits.MaxBytes &^ (d.blockBytes - 1)
	}
	for !r.Empty() {
		part := block.Range{Off: r.Off, Len: min(step, r.Len)}
		if err := d.device.Zero(ctx, part, flags); err != nil {
			return err
		}
		r = block.Range{Off: part.End(), Len: r.Len - part.Len}
	}
	return nil
}

// repeat writes copies of one block over r.
func (d *Disk) repeat(ctx context.Context, one []byte, r block.Range) error {
	buffer := d.scratch.get()
	defer d.scratch.put(buffer)
	copies := (*buffer)[:min(int64(len(*buffer)), r.Len, d.options.MaxTransferBytes)]
	for n := 0; n < len(copies); {
		n += copy(copies[n:], one)
	}
	for done := int64(0); done < r.Len; done += int64(len(copies)) {
		part := copies[:min(int64(len(copies)), r.Len-done)]
		if err := d.device.Write(ctx, part, r.Off+done, 0); err != nil {
			return err
		}
	}
	return nil
}

func allZero(p []byte) bool {
	// One byte is zero and each byte equals the next: bytes.Equal makes that a fast comparison.
	return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}
