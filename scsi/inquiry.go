package scsi

import (
	"context"
	"encoding/binary"
)

const (
	versionSPC4       = 0x06
	inquiryBytes      = 96 // with room for eight version descriptors
	inquiryShortBytes = 36
)

func inquiryLen(_ *Disk, cdb []byte) int64 {
	return min(int64(binary.BigEndian.Uint16(cdb[3:])), maxParameterBytes)
}

// inquiry is INQUIRY: standard data, or a page of vital product data with EVPD.
func inquiry(d *Disk, _ context.Context, cmd *Command, res *Response) {
	evpd, page := cmd.CDB[1]&1 != 0, cmd.CDB[2]
	allocation := int64(binary.BigEndian.Uint16(cmd.CDB[3:]))
	switch {
	case evpd:
		data, ok := d.vpdPage(page)
		if !ok {
			res.refuse(senseInvalidFieldInCDB)
			return
		}
		res.Reply(cmd, data, allocation)
	case page != 0:
		res.refuse(senseInvalidFieldInCDB)
	default:
		res.Reply(cmd, d.standardInquiry(), allocation)
	}
}

// standardInquiry returns the standard INQUIRY data (SPC-4 §6.6.2).
func (d *Disk) standardInquiry() []byte {
	data := make([]byte, inquiryBytes)
	if d.options.Removable {
		data[1] = 0x80 // RMB
	}
	data[2] = versionSPC4
	data[3] = 0x02 // RESPONSE DATA FORMAT
	data[4] = inquiryBytes - 5
	if !d.options.Leg {
		data[5] = 0x08 // 3PC: EXTENDED COPY
	}
	data[7] = 0x02 // CMDQUE
	padded(data[8:16], d.options.VendorID)
	padded(data[16:32], d.options.ProductID)
	padded(data[32:36], d.options.Revision)
	versions := []uint16{
		0x00a0, // SAM-5
		0x0960, // iSCSI
		0x0460, // SPC-4
		0x04c0, // SBC-3
	}
	for i, version := range versions {
		binary.BigEndian.PutUint16(data[58+2*i:], version)
	}
	return data
}

// padded copies s into field, left-aligned and filled with spaces.
func padded(field []byte, s string) {
	for i := copy(field, s); i < len(field); i++ {
		field[i] = ' '
	}
}
