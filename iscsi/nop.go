package iscsi

// NOPOut is the NOP-Out PDU (RFC 7143 §11.18). Its data segment is ping data.
type NOPOut struct {
	Immediate bool
	LUN       uint64
	ITT       uint32 // ReservedTag: no answer is wanted
	TTT       uint32 // that of the NOP-In it answers, or ReservedTag
	CmdSN     Serial
	ExpStatSN Serial
}

// ParseNOPOut decodes a NOP-Out.
func ParseNOPOut(h *BHS) (NOPOut, error) {
	if err := h.expect(OpNOPOut); err != nil {
		return NOPOut{}, err
	}
	p := NOPOut{Immediate: h.Immediate(), LUN: h.u64(8), ITT: h.ITT(), TTT: h.u32(20),
		CmdSN: h.sn(24), ExpStatSN: h.sn(28)}
	if p.ITT == ReservedTag && !p.Immediate {
		return NOPOut{}, protocolErrorf("NOP-Out", "11.18.1", "no Initiator Task Tag and not immediate")
	}
	return p, nil
}

// Encode writes the header, lengths excepted.
func (p *NOPOut) Encode(h *BHS) {
	h.start(OpNOPOut, p.Immediate, finalBit)
	h.putU64(8, p.LUN)
	h.putU32(16, p.ITT)
	h.putU32(20, p.TTT)
	h.putSN(24, p.CmdSN)
	h.putSN(28, p.ExpStatSN)
}

// NOPIn is the NOP-In PDU (RFC 7143 §11.19). Its data segment is the ping data of the NOP-Out that
// it answers.
type NOPIn struct {
	LUN      uint64
	ITT      uint32 // that of the NOP-Out it answers, or ReservedTag
	TTT      uint32 // a tag when the target wants an answer, or ReservedTag
	StatSN   Serial // the next one if ITT is reserved: it is not advanced then
	ExpCmdSN Serial
	MaxCmdSN Serial
}

// ParseNOPIn decodes a NOP-In.
func ParseNOPIn(h *BHS) (NOPIn, error) {
	if err := h.expect(OpNOPIn); err != nil {
		return NOPIn{}, err
	}
	return NOPIn{LUN: h.u64(8), ITT: h.ITT(), TTT: h.u32(20),
		StatSN: h.sn(24), ExpCmdSN: h.sn(28), MaxCmdSN: h.sn(32)}, nil
}

// Encode writes the header, lengths excepted.
func (p *NOPIn) Encode(h *BHS) {
	h.start(OpNOPIn, false, finalBit)
	h.putU64(8, p.LUN)
	h.putU32(16, p.ITT)
	h.putU32(20, p.TTT)
	h.putStatus(p.StatSN, p.ExpCmdSN, p.MaxCmdSN)
}
