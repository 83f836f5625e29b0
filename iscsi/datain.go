package iscsi

// DataIn is the SCSI Data-In PDU (RFC 7143 §11.7).
type DataIn struct {
	Final        bool // last of a sequence
	Acknowledge  bool // asks for a DataACK SNACK; error recovery level 1 and above
	Overflow     bool // with HasStatus: Residual bytes more would have been needed
	Underflow    bool // with HasStatus: Residual bytes were not transferred
	HasStatus    bool // the S bit: Status, StatSN and Residual are meaningful
	Status       byte
	LUN          uint64
	ITT          uint32
	TTT          uint32
	StatSN       Serial
	ExpCmdSN     Serial
	MaxCmdSN     Serial
	DataSN       Serial
	BufferOffset uint32 // bytes
	Residual     uint32
}

// ParseDataIn decodes a Data-In.
func ParseDataIn(h *BHS) (DataIn, error) {
	if err := h.expect(OpDataIn); err != nil {
		return DataIn{}, err
	}
	return DataIn{
		Final:        h.Final(),
		Acknowledge:  h.has(1, 0x40),
		Overflow:     h.has(1, 0x04),
		Underflow:    h.has(1, 0x02),
		HasStatus:    h.has(1, 0x01),
		Status:       h[3],
		LUN:          h.u64(8),
		ITT:          h.ITT(),
		TTT:          h.u32(20),
		StatSN:       h.sn(24),
		ExpCmdSN:     h.sn(28),
		MaxCmdSN:     h.sn(32),
		DataSN:       h.sn(36),
		BufferOffset: h.u32(40),
		Residual:     h.u32(44),
	}, nil
}

// Encode writes the header, lengths excepted.
func (p *DataIn) Encode(h *BHS) {
	h.start(OpDataIn, false, bit(p.Final, finalBit)|bit(p.Acknowledge, 0x40)|
		bit(p.Overflow, 0x04)|bit(p.Underflow, 0x02)|bit(p.HasStatus, 0x01))
	h[3] = p.Status
	h.putU64(8, p.LUN)
	h.putU32(16, p.ITT)
	h.putU32(20, p.TTT)
	h.putStatus(p.StatSN, p.ExpCmdSN, p.MaxCmdSN)
	h.putSN(36, p.DataSN)
	h.putU32(40, p.BufferOffset)
	h.putU32(44, p.Residual)
}
