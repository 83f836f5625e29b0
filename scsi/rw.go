package scsi

import (
	"context"

	"github.com/holdfast-storage/holdfast/block"
)

// readLen is the data-in of READ (6/10/12/16).
func readLen(d *Disk, cdb []byte) int64 {
	r, _ := d.transfer(decodeExtent(cdb))
	return r.Len
}

// read is READ (6/10/12/16). The data goes straight into the command's buffer.
func read(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	e := decodeExtent(cmd.CDB)
	r, sense := d.transfer(e)
	if sense != 0 {
		res.refuse(sense)
		return
	}
	if err := d.readInto(ctx, cmd.DataIn, r); err != nil {
		res.Fail(err)
		return
	}
	if e.byte1&bitFUA != 0 && d.limits.Volatile {
		// FUA promises that what was read is on the medium. Flushing after the read covers every
		// completed write that the read can have seen; flushing before would miss some.
		if err := d.device.Flush(ctx); err != nil {
			res.Fail(err)
			return
		}
	}
	res.InLen = r.Len
}

// readInto fills p with the bytes of r, as many as fit. An initiator may expect less data than the
// CDB asks for, and not even whole blocks; the last, broken one takes a detour.
func (d *Disk) readInto(ctx context.Context, p []byte, r block.Range) error {
	p = p[:min(int64(len(p)), r.Len)]
	whole := int64(len(p)) &^ (d.blockBytes - 1)
	if whole > 0 {
		if err := d.device.Read(ctx, p[:whole], r.Off); err != nil {
			return err
		}
	}
	if whole == int64(len(p)) {
		return nil
	}
	last := make([]byte, d.blockBytes)
	if err := d.device.Read(ctx, last, r.Off+whole); err != nil {
		return err
	}
	copy(p[whole:], last)
	return nil
}

// writable is transfer for a command that changes data.
func (d *Disk) writable(e extent) (block.Range, senseCode) {
	r, sense := d.transfer(e)
	if sense == 0 && d.writeProtected() {
		return block.Range{}, senseWriteProtected
	}
	return r, sense
}

// writeLen is the data-out of WRITE (6/10/12/16).
func writeLen(d *Disk, cdb []byte) int64 {
	r, _ := d.writable(decodeExtent(cdb))
	return r.Len
}

// write is WRITE (6/10/12/16). The data comes straight from the command's buffer.
func write(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	e := decodeExtent(cmd.CDB)
	r, sense := d.writable(e)
	if sense != 0 {
		res.refuse(sense)
		return
	}
	var flags block.Flags
	if e.byte1&bitFUA != 0 {
		flags = block.FUA
	}
	res.Fail(d.writeFrom(ctx, d.cutToBlocks(cmd.DataOut, r), r.Off, flags))
}

// cutToBlocks returns what may be written of p. An initiator whose Expected Data Transfer Length is
// less than what its CDB asks for sends less; then the whole blocks that came are written and the
// residual that the target reports says what was not (RFC 7143 §11.4.5.1).
func (d *Disk) cutToBlocks(p []byte, r block.Range) []byte {
	n := min(int64(len(p)), r.Len)
	return p[:n&^(d.blockBytes-1)]
}

func (d *Disk) writeFrom(ctx context.Context, p []byte, off int64, flags block.Flags) error {
	if len(p) == 0 {
		return nil
	}
	return d.device.Write(ctx, p, off, flags)
}
