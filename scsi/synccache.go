package scsi

import "context"

// synchronizeCache is SYNCHRONIZE CACHE (10/16). It flushes the whole device, whatever the range,
// and always before it answers: IMMED only allows an earlier answer.
func synchronizeCache(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	e := decodeExtent(cmd.CDB)
	e.byte1 = 0
	if _, sense := d.locate(e); sense != 0 {
		res.refuse(sense)
		return
	}
	res.Fail(d.device.Flush(ctx))
}
