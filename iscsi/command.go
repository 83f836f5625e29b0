package iscsi

// TaskAttribute is how a SCSI command is queued (RFC 7143 §11.3.1).
type TaskAttribute byte

// The task attributes.
const (
	Untagged    TaskAttribute = 0
	Simple      TaskAttribute = 1
	Ordered     TaskAttribute = 2
	HeadOfQueue TaskAttribute = 3
	ACA         TaskAttribute = 4
)

// SCSICommand is the SCSI Command PDU (RFC 7143 §11.3). Its data segment is immediate data.
type SCSICommand struct {
	Immediate bool
	Final     bool // no unsolicited Data-Out follows
	Read      bool
	Write     bool
	Attribute TaskAttribute
	LUN       uint64 // the eight bytes of the field, big endian
	ITT       uint32
	// ExpectedDataTransferLength is in bytes.
	ExpectedDataTransferLength uint32
	CmdSN                      Serial
	ExpStatSN                  Serial
	CDB                        [16]byte // the first 16 bytes; a longer CDB goes on in an AHS
}

// ParseSCSICommand decodes a SCSI Command.
func ParseSCSICommand(h *BHS) (SCSICommand, error) {
	if err := h.expect(OpSCSICommand); err != nil {
		return SCSICommand{}, err
	}
	return SCSICommand{
		Immediate:                  h.Immediate(),
		Final:                      h.Final(),
		Read:                       h.has(1, 0x40),
		Write:                      h.has(1, 0x20),
		Attribute:                  TaskAttribute(h[1] & 0x07),
		LUN:                        h.u64(8),
		ITT:                        h.ITT(),
		ExpectedDataTransferLength: h.u32(20),
		CmdSN:                      h.sn(24),
		ExpStatSN:                  h.sn(28),
		CDB:                        [16]byte(h[32:48]),
	}, nil
}

// Encode writes the header, lengths excepted.
func (p *SCSICommand) Encode(h *BHS) {
	h.start(OpSCSICommand, p.Immediate,
		bit(p.Final, finalBit)|bit(p.Read, 0x40)|bit(p.Write, 0x20)|byte(p.Attribute)&0x07)
	h.putU64(8, p.LUN)
	h.putU32(16, p.ITT)
	h.putU32(20, p.ExpectedDataTransferLength)
	h.putSN(24, p.CmdSN)
	h.putSN(28, p.ExpStatSN)
	copy(h[32:], p.CDB[:])
}
