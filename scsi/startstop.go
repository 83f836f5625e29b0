package scsi

import "context"

// startStopUnit is START STOP UNIT. A fixed unit is always started, so starting it is all that can be
// asked: stopping it would take it from the other initiators. On a removable one LOEJ ejects and loads
// the medium, and starting and stopping change nothing. There are no power conditions; a removable
// unit accepts and ignores them, as initiators expect of such drives.
func startStopUnit(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	const start, loadEject, powerCondition = 0x01, 0x02, 0xf0
	if !d.options.Removable {
		if cmd.CDB[4]&(powerCondition|loadEject|start) != start || cmd.CDB[3]&0x0f != 0 {
			res.refuse(senseInvalidFieldInCDB)
		}
		return
	}
	if cmd.CDB[4]&powerCondition != 0 || cmd.CDB[4]&loadEject == 0 {
		return
	}
	sense, err := d.moveMedium(ctx, cmd.CDB[4]&start != 0)
	if sense != 0 {
		res.refuse(sense)
		return
	}
	res.Fail(err)
}
