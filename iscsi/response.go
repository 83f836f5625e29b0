package iscsi

import "encoding/binary"

// ServiceResponse is the iSCSI service response of a command (RFC 7143 §11.4.3).
type ServiceResponse byte

// The service responses.
const (
	CommandCompleted ServiceResponse = 0x00
	TargetFailure    ServiceResponse = 0x01
)

// SCSIResponse is the SCSI Response PDU (RFC 7143 §11.4). Its data segment is made by AppendSense.
type SCSIResponse struct {
	Overflow     bool // Residual bytes more would have been needed
	Underflow    bool // Residual bytes were not transferred
	Response     ServiceResponse
	Status       byte // SAM-5 status; meaningful with CommandCompleted
	ITT          uint32
	SNACKTag     uint32
	StatSN       Serial
	ExpCmdSN     Serial
	MaxCmdSN     Serial
	ExpDataSN    Serial // how many Data-In and R2T PDUs were sent for the command
	Residual     uint32
	BidiFlags    byte // the o and u bits, as 0x10 and 0x08
	BidiResidual uint32
}

// ParseSCSIResponse decodes a SCSI Response.
func ParseSCSIResponse(h *BHS) (SCSIResponse, error) {
	if err := h.expect(OpSCSIResponse); err != nil {
		return SCSIResponse{}, err
	}
	return SCSIResponse{
		Overflow:     h.has(1, 0x04),
		Underflow:    h.has(1, 0x02),
		BidiFlags:    h[1] & 0x18,
		Response:     ServiceResponse(h[2]),
		Status:       h[3],
		ITT:          h.ITT(),
		SNACKTag:     h.u32(20),
		StatSN:       h.sn(24),
		ExpCmdSN:     h.sn(28),
		MaxCmdSN:     h.sn(32),
		ExpDataSN:    h.sn(36),
		BidiResidual: h.u32(40),
		Residual:     h.u32(44),
	}, nil
}

// Encode writes the header, lengths excepted.
func (p *SCSIResponse) Encode(h *BHS) {
	h.start(OpSCSIResponse, false,
		finalBit|p.BidiFlags&0x18|bit(p.Overflow, 0x04)|bit(p.Underflow, 0x02))
	h[2], h[3] = byte(p.Response), p.Status
	h.putU32(16, p.ITT)
	h.putU32(20, p.SNACKTag)
	h.putStatus(p.StatSN, p.ExpCmdSN, p.MaxCmdSN)
	h.putSN(36, p.ExpDataSN)
	h.putU32(40, p.BidiResidual)
	h.putU32(44, p.Residual)
}

// AppendSense appends the data segment of a SCSI Response: SenseLength and the sense data
// (RFC 7143 §11.4.7).
func AppendSense(b, sense []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(sense)))
	return append(b, sense...)
}

// ParseSense returns the sense data in the data segment of a SCSI Response, nil for an empty one.
// The slice points into data.
func ParseSense(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) < 2 {
		return nil, protocolErrorf("SCSI Response", "11.4.7", "data segment of %d bytes", len(data))
	}
	n := int(binary.BigEndian.Uint16(data))
	if n > len(data)-2 {
		return nil, protocolErrorf("SCSI Response", "11.4.7",
			"SenseLength %d in a data segment of %d bytes", n, len(data))
	}
	return data[2 : 2+n], nil
}
