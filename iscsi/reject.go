package iscsi

// RejectReason says why a PDU was rejected (RFC 7143 §11.17.1).
type RejectReason byte

// The reject reasons.
const (
	RejectDataDigest       RejectReason = 0x02
	RejectSNACK            RejectReason = 0x03
	RejectProtocolError    RejectReason = 0x04
	RejectNotSupported     RejectReason = 0x05
	RejectTooManyImmediate RejectReason = 0x06
	RejectTaskInProgress   RejectReason = 0x07
	RejectInvalidDataACK   RejectReason = 0x08
	RejectInvalidPDUField  RejectReason = 0x09
	RejectOutOfResources   RejectReason = 0x0a
	RejectNegotiationReset RejectReason = 0x0b
	RejectWaitingForLogout RejectReason = 0x0c
)

// Reject is the Reject PDU (RFC 7143 §11.17). Its data segment is the header of the rejected PDU.
type Reject struct {
	Reason   RejectReason
	StatSN   Serial
	ExpCmdSN Serial
	MaxCmdSN Serial
	DataSN   Serial // or R2TSN; for a rejected Data-Out or SNACK
}

// ParseReject decodes a Reject.
func ParseReject(h *BHS) (Reject, error) {
	if err := h.expect(OpReject); err != nil {
		return Reject{}, err
	}
	return Reject{Reason: RejectReason(h[2]), StatSN: h.sn(24), ExpCmdSN: h.sn(28),
		MaxCmdSN: h.sn(32), DataSN: h.sn(36)}, nil
}

// Encode writes the header, lengths excepted.
func (p *Reject) Encode(h *BHS) {
	h.start(OpReject, false, finalBit)
	h[2] = byte(p.Reason)
	h.putU32(16, ReservedTag)
	h.putStatus(p.StatSN, p.ExpCmdSN, p.MaxCmdSN)
	h.putSN(36, p.DataSN)
}
