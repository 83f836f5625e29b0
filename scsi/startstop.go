package scsi

import "context"

// startStopUnit is START STOP UNIT. The unit is always started, so starting it is all that can be
// asked: stopping it would take it from the other initiators, and there is no medium to load or
// eject and no power condition to enter.
func startStopUnit(_ *Disk, _ context.Context, cmd *Command, res *Response) {
	const start, loadEject, powerCondition = 0x01, 0x02, 0xf0
	if cmd.CDB[4]&(powerCondition|loadEject|start) != start || cmd.CDB[3]&0x0f != 0 {
		res.refuse(senseInvalidFieldInCDB)
	}
}
