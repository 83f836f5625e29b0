package iscsi

// SNACKType says what a SNACK asks for (RFC 7143 §11.16.1).
type SNACKType byte

// The SNACK types.
const (
	SNACKData      SNACKType = 0
	SNACKStatus    SNACKType = 1
	SNACKDataACK   SNACKType = 2
	SNACKRData     SNACKType = 3
	snackTypesMask           = 0x0f
)

// SNACK is the SNACK Request PDU (RFC 7143 §11.16). At error recovery level 0 it is a protocol
// error; a target decodes it to reject it.
type SNACK struct {
	Type      SNACKType
	LUN       uint64
	ITT       uint32
	TTT       uint32
	ExpStatSN Serial
	BegRun    uint32
	RunLength uint32
}

// ParseSNACK decodes a SNACK Request.
func ParseSNACK(h *BHS) (SNACK, error) {
	if err := h.expect(OpSNACK); err != nil {
		return SNACK{}, err
	}
	return SNACK{Type: SNACKType(h[1] & snackTypesMask), LUN: h.u64(8), ITT: h.ITT(), TTT: h.u32(20),
		ExpStatSN: h.sn(28), BegRun: h.u32(40), RunLength: h.u32(44)}, nil
}

// Encode writes the header.
func (p *SNACK) Encode(h *BHS) {
	h.start(OpSNACK, false, finalBit|byte(p.Type)&snackTypesMask)
	h.putU64(8, p.LUN)
	h.putU32(16, p.ITT)
	h.putU32(20, p.TTT)
	h.putSN(28, p.ExpStatSN)
	h.putU32(40, p.BegRun)
	h.putU32(44, p.RunLength)
}
