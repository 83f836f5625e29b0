package scsi

import (
	"context"
	"encoding/binary"
)

// NoLUN is the LogicalUnit behind a LUN that has none: an incorrect logical unit (SAM-5 §4.6.4).
// INQUIRY says that nothing can be there, REQUEST SENSE and every other command say LOGICAL UNIT
// NOT SUPPORTED.
type NoLUN struct{}

// Execute implements LogicalUnit.
func (NoLUN) Execute(_ context.Context, cmd *Command, res *Response) {
	switch {
	case len(cmd.CDB) < cdbBytes:
		res.refuse(senseInvalidFieldInCDB)
	case cmd.CDB[0] == opInquiry && cmd.CDB[1]&1 == 0 && cmd.CDB[2] == 0:
		data := make([]byte, inquiryShortBytes)
		data[0] = 0x7f // PERIPHERAL QUALIFIER 011b, device type unknown
		data[2], data[3], data[4] = versionSPC4, 0x02, byte(len(data)-5)
		res.Reply(cmd, data, int64(binary.BigEndian.Uint16(cmd.CDB[3:])))
	case cmd.CDB[0] == opRequestSense:
		replySense(cmd, res, senseLUNNotSupported.sense())
	default:
		res.refuse(senseLUNNotSupported)
	}
}

// DataOutLen implements LogicalUnit: every command that has data-out is refused.
func (NoLUN) DataOutLen([]byte) int64 { return 0 }

// DataInLen implements LogicalUnit.
func (NoLUN) DataInLen(cdb []byte) int64 {
	if len(cdb) >= cdbBytes && (cdb[0] == opInquiry || cdb[0] == opRequestSense) {
		return 256
	}
	return 0
}
