package iscsi

// R2T is the Ready To Transfer PDU (RFC 7143 §11.8): the target asks for a part of the data-out.
type R2T struct {
	LUN          uint64
	ITT          uint32
	TTT          uint32 // never ReservedTag
	StatSN       Serial // the next one; an R2T does not advance it
	ExpCmdSN     Serial
	MaxCmdSN     Serial
	R2TSN        Serial
	BufferOffset uint32 // bytes
	// DesiredDataTransferLength is in bytes, from 1 to MaxBurstLength.
	DesiredDataTransferLength uint32
}

// ParseR2T decodes an R2T.
func ParseR2T(h *BHS) (R2T, error) {
	if err := h.expect(OpR2T); err != nil {
		return R2T{}, err
	}
	p := R2T{
		LUN:                       h.u64(8),
		ITT:                       h.ITT(),
		TTT:                       h.u32(20),
		StatSN:                    h.sn(24),
		ExpCmdSN:                  h.sn(28),
		MaxCmdSN:                  h.sn(32),
		R2TSN:                     h.sn(36),
		BufferOffset:              h.u32(40),
		DesiredDataTransferLength: h.u32(44),
	}
	if p.DesiredDataTransferLength == 0 {
		return R2T{}, protocolErrorf("R2T", "11.8.4", "Desired Data Transfer Length is 0")
	}
	if p.TTT == ReservedTag {
		return R2T{}, protocolErrorf("R2T", "11.8.5", "Target Task Tag is reserved")
	}
	return p, nil
}

// Encode writes the header.
func (p *R2T) Encode(h *BHS) {
	h.start(OpR2T, false, finalBit)
	h.putU64(8, p.LUN)
	h.putU32(16, p.ITT)
	h.putU32(20, p.TTT)
	h.putStatus(p.StatSN, p.ExpCmdSN, p.MaxCmdSN)
	h.putSN(36, p.R2TSN)
	h.putU32(40, p.BufferOffset)
	h.putU32(44, p.DesiredDataTransferLength)
}
