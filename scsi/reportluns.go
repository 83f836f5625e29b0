package scsi

import (
	"context"
	"encoding/binary"
)

// IsReportLUNs reports whether the CDB is REPORT LUNS. It asks about the target, not about a unit,
// so the target answers it with ReportLUNs, whatever LUN it is sent to.
func IsReportLUNs(cdb []byte) bool { return len(cdb) > 0 && cdb[0] == opReportLUNs }

// ReportLUNsLen returns the length of the answer for n logical units, in bytes.
func ReportLUNsLen(n int) int64 { return 8 + 8*int64(n) }

// ReportLUNs answers REPORT LUNS for a target with these logical units, LUN numbers as they stand
// in the iSCSI header (SAM-5 §4.7), in the order given.
func ReportLUNs(luns []uint64, cmd *Command, res *Response) {
	const selectAddressable, selectWellKnown, selectAll = 0, 1, 2
	if len(cmd.CDB) < cdbBytes {
		res.refuse(senseInvalidFieldInCDB)
		return
	}
	allocation := binary.BigEndian.Uint32(cmd.CDB[6:])
	if cmd.CDB[2] > selectAll || allocation < 16 {
		res.refuse(senseInvalidFieldInCDB)
		return
	}
	if cmd.CDB[2] == selectWellKnown {
		luns = nil // no target of ours has a well known logical unit
	}
	data := make([]byte, 8, ReportLUNsLen(len(luns)))
	binary.BigEndian.PutUint32(data, uint32(8*len(luns)))
	for _, lun := range luns {
		data = binary.BigEndian.AppendUint64(data, lun)
	}
	res.Reply(cmd, data, int64(allocation))
}

// ParseReportLUNs decodes the answer to REPORT LUNS. complete is false if the target has more
// logical units than fitted into the allocation length.
func ParseReportLUNs(data []byte) (luns []uint64, complete bool) {
	if len(data) < 8 {
		return nil, false
	}
	total := int64(binary.BigEndian.Uint32(data))
	for rest := data[8:]; len(rest) >= 8 && int64(8*len(luns)) < total; rest = rest[8:] {
		luns = append(luns, binary.BigEndian.Uint64(rest))
	}
	return luns, int64(8*len(luns)) >= total
}

// reportLoneLUN answers for a Disk that no target stands in front of: it is LUN 0 then.
func reportLoneLUN(_ *Disk, _ context.Context, cmd *Command, res *Response) {
	ReportLUNs([]uint64{0}, cmd, res)
}
