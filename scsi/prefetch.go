package scsi

import "context"

// prefetch is PRE-FETCH (10/16): it reads the range, so that caches below may keep it. A count of zero
// means to the end, and a range that is too long for a cache to be of use is only checked: both are
// allowed to fetch less than all (SBC-3 §5.8). It never answers CONDITION MET, because nothing here
// knows whether all of it stays in a cache.
func prefetch(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	e := decodeExtent(cmd.CDB)
	e.byte1 = 0
	r, sense := d.locate(e)
	if sense != 0 {
		res.refuse(sense)
		return
	}
	if e.blocks == 0 || r.Len > d.options.MaxTransferBytes {
		return
	}
	d.compare(ctx, r, nil, false, res)
}
