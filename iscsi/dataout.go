package iscsi

// DataOut is the SCSI Data-Out PDU (RFC 7143 §11.7).
type DataOut struct {
	Final        bool // last of a sequence: of the unsolicited data, or of what one R2T asked for
	LUN          uint64
	ITT          uint32
	TTT          uint32 // that of the R2T it answers, ReservedTag when unsolicited
	ExpStatSN    Serial
	DataSN       Serial
	BufferOffset uint32 // bytes
}

// ParseDataOut decodes a Data-Out.
func ParseDataOut(h *BHS) (DataOut, error) {
	if err := h.expect(OpDataOut); err != nil {
		return DataOut{}, err
	}
	return DataOut{
		Final:        h.Final(),
		LUN:          h.u64(8),
		ITT:          h.ITT(),
		TTT:          h.u32(20),
		ExpStatSN:    h.sn(28),
		DataSN:       h.sn(36),
		BufferOffset: h.u32(40),
	}, nil
}

// Encode writes the header, lengths excepted.
func (p *DataOut) Encode(h *BHS) {
	h.start(OpDataOut, false, bit(p.Final, finalBit))
	h.putU64(8, p.LUN)
	h.putU32(16, p.ITT)
	h.putU32(20, p.TTT)
	h.putSN(28, p.ExpStatSN)
	h.putSN(36, p.DataSN)
	h.putU32(40, p.BufferOffset)
}
