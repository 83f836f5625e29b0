package scsi

import (
	"context"
	"encoding/binary"
)

// readDefects is READ DEFECT DATA (10/12): both lists are known and empty, because whatever stores the
// blocks takes care of its own defects (SBC-3 §5.17).
func readDefects(_ *Disk, _ context.Context, cmd *Command, res *Response) {
	const listsAndFormat = 0x1f // REQ_PLIST, REQ_GLIST, DEFECT LIST FORMAT
	if cmd.CDB[0] == opReadDefectData10 {
		data := []byte{0, cmd.CDB[2] & listsAndFormat, 0, 0}
		res.Reply(cmd, data, int64(binary.BigEndian.Uint16(cmd.CDB[7:])))
		return
	}
	data := []byte{0, cmd.CDB[1] & listsAndFormat, 0, 0, 0, 0, 0, 0}
	res.Reply(cmd, data, int64(binary.BigEndian.Uint32(cmd.CDB[6:])))
}
