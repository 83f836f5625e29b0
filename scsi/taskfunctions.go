package scsi

import (
	"context"
	"encoding/binary"
)

// taskFunctions is REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 §6.37): what the iSCSI target does
// with the requests of RFC 7143 §11.5.
func taskFunctions(_ *Disk, _ context.Context, cmd *Command, res *Response) {
	const abortTask, abortTaskSet, clearTaskSet, lunReset = 0x80, 0x40, 0x10, 0x08
	const extended = 0x80 // REPD
	data := []byte{abortTask | abortTaskSet | clearTaskSet | lunReset, 0, 0, 0}
	if cmd.CDB[2]&extended != 0 {
		data = append(data, make([]byte, 12)...)
		data[3] = 12
	}
	res.Reply(cmd, data, int64(binary.BigEndian.Uint32(cmd.CDB[6:])))
}
