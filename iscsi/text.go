package iscsi

// TextRequest is the Text Request PDU (RFC 7143 §11.10). Its data segment is text keys.
type TextRequest struct {
	Immediate bool
	Final     bool
	Continue  bool // the text goes on in the next request
	LUN       uint64
	ITT       uint32
	TTT       uint32 // ReservedTag begins an exchange
	CmdSN     Serial
	ExpStatSN Serial
}

// ParseTextRequest decodes a Text Request.
func ParseTextRequest(h *BHS) (TextRequest, error) {
	if err := h.expect(OpTextRequest); err != nil {
		return TextRequest{}, err
	}
	p := TextRequest{Immediate: h.Immediate(), Final: h.Final(), Continue: h.has(1, continueBit),
		LUN: h.u64(8), ITT: h.ITT(), TTT: h.u32(20), CmdSN: h.sn(24), ExpStatSN: h.sn(28)}
	if p.Final && p.Continue {
		return TextRequest{}, protocolErrorf("Text Request", "11.10.2", "F and C are both set")
	}
	return p, nil
}

// Encode writes the header, lengths excepted.
func (p *TextRequest) Encode(h *BHS) {
	h.start(OpTextRequest, p.Immediate, bit(p.Final, finalBit)|bit(p.Continue, continueBit))
	h.putU64(8, p.LUN)
	h.putU32(16, p.ITT)
	h.putU32(20, p.TTT)
	h.putSN(24, p.CmdSN)
	h.putSN(28, p.ExpStatSN)
}

// TextResponse is the Text Response PDU (RFC 7143 §11.11). Its data segment is text keys.
type TextResponse struct {
	Final    bool
	Continue bool // the text goes on in the next response
	LUN      uint64
	ITT      uint32
	TTT      uint32 // ReservedTag if and only if Final
	StatSN   Serial
	ExpCmdSN Serial
	MaxCmdSN Serial
}

// ParseTextResponse decodes a Text Response.
func ParseTextResponse(h *BHS) (TextResponse, error) {
	if err := h.expect(OpTextResponse); err != nil {
		return TextResponse{}, err
	}
	p := TextResponse{Final: h.Final(), Continue: h.has(1, continueBit), LUN: h.u64(8), ITT: h.ITT(),
		TTT: h.u32(20), StatSN: h.sn(24), ExpCmdSN: h.sn(28), MaxCmdSN: h.sn(32)}
	if p.Final && p.Continue {
		return TextResponse{}, protocolErrorf("Text Response", "11.11.2", "F and C are both set")
	}
	return p, nil
}

// Encode writes the header, lengths excepted.
func (p *TextResponse) Encode(h *BHS) {
	h.start(OpTextResponse, false, bit(p.Final, finalBit)|bit(p.Continue, continueBit))
	h.putU64(8, p.LUN)
	h.putU32(16, p.ITT)
	h.putU32(20, p.TTT)
	h.putStatus(p.StatSN, p.ExpCmdSN, p.MaxCmdSN)
}
