package iscsi

import "encoding/binary"

// HeaderLen is the length of a Basic Header Segment in bytes.
const HeaderLen = 48

// BHS is a Basic Header Segment (RFC 7143 §11.2.1), the first 48 bytes of every PDU.
type BHS [HeaderLen]byte

// Opcode says which PDU a header belongs to.
type Opcode byte

// The opcodes of RFC 7143 §11.2.1.2; those of the target have bit 0x20.
const (
	OpNOPOut         Opcode = 0x00
	OpSCSICommand    Opcode = 0x01
	OpTaskRequest    Opcode = 0x02
	OpLoginRequest   Opcode = 0x03
	OpTextRequest    Opcode = 0x04
	OpDataOut        Opcode = 0x05
	OpLogoutRequest  Opcode = 0x06
	OpSNACK          Opcode = 0x10
	OpNOPIn          Opcode = 0x20
	OpSCSIResponse   Opcode = 0x21
	OpTaskResponse   Opcode = 0x22
	OpLoginResponse  Opcode = 0x23
	OpTextResponse   Opcode = 0x24
	OpDataIn         Opcode = 0x25
	OpLogoutResponse Opcode = 0x26
	OpR2T            Opcode = 0x31
	OpAsync          Opcode = 0x32
	OpReject         Opcode = 0x3f
)

// ReservedTag is the Initiator or Target Task Tag that names no task.
const ReservedTag uint32 = 0xffffffff

const (
	immediateBit = 0x40 // of byte 0
	finalBit     = 0x80 // of byte 1
)

// Opcode returns which PDU this is.
func (h *BHS) Opcode() Opcode { return Opcode(h[0] & 0x3f) }

// Immediate reports whether the I bit is set: the PDU is delivered at once and takes no CmdSN.
func (h *BHS) Immediate() bool { return h[0]&immediateBit != 0 }

// Final reports whether the F (or T) bit is set.
func (h *BHS) Final() bool { return h[1]&finalBit != 0 }

// ITT returns the Initiator Task Tag, which stands at the same place in every PDU.
func (h *BHS) ITT() uint32 { return h.u32(16) }

// CmdSN returns the field at byte 24 of a PDU of the initiator. Data-Out and SNACK have none.
func (h *BHS) CmdSN() Serial { return h.sn(24) }

// ExpStatSN returns the field at byte 28 of a PDU of the initiator.
func (h *BHS) ExpStatSN() Serial { return h.sn(28) }

// AHSLen returns the length of all Additional Header Segments in bytes.
func (h *BHS) AHSLen() int { return int(h[4]) * 4 }

// DataLen returns the length of the data segment in bytes, without padding.
func (h *BHS) DataLen() int { return int(h[5])<<16 | int(h[6])<<8 | int(h[7]) }

// SetStatSN sets StatSN in a PDU of the target.
func (h *BHS) SetStatSN(s Serial) { h.putSN(24, s) }

// SetWindow sets ExpCmdSN and MaxCmdSN in a PDU of the target.
func (h *BHS) SetWindow(expCmdSN, maxCmdSN Serial) {
	h.putSN(28, expCmdSN)
	h.putSN(32, maxCmdSN)
}

// SetExpStatSN sets ExpStatSN in a PDU of the initiator.
func (h *BHS) SetExpStatSN(s Serial) { h.putSN(28, s) }

func (h *BHS) setLengths(ahs, data int) {
	h[4] = byte(ahs / 4)
	h[5], h[6], h[7] = byte(data>>16), byte(data>>8), byte(data)
}

// start clears the header and sets its first two bytes.
func (h *BHS) start(op Opcode, immediate bool, flags byte) {
	*h = BHS{}
	h[0] = byte(op) | bit(immediate, immediateBit)
	h[1] = flags
}

// expect returns an error unless the header is that of the PDU op.
func (h *BHS) expect(op Opcode) error {
	if h.Opcode() != op {
		return protocolErrorf("PDU", "11.2.1.2", "opcode 0x%02x where 0x%02x was expected", h.Opcode(), op)
	}
	return nil
}

func (h *BHS) has(i int, mask byte) bool    { return h[i]&mask != 0 }
func (h *BHS) u16(i int) uint16             { return binary.BigEndian.Uint16(h[i:]) }
func (h *BHS) u32(i int) uint32             { return binary.BigEndian.Uint32(h[i:]) }
func (h *BHS) u64(i int) uint64             { return binary.BigEndian.Uint64(h[i:]) }
func (h *BHS) sn(i int) Serial              { return Serial(h.u32(i)) }
func (h *BHS) putU16(i int, v uint16)       { binary.BigEndian.PutUint16(h[i:], v) }
func (h *BHS) putU32(i int, v uint32)       { binary.BigEndian.PutUint32(h[i:], v) }
func (h *BHS) putU64(i int, v uint64)       { binary.BigEndian.PutUint64(h[i:], v) }
func (h *BHS) putSN(i int, v Serial)        { h.putU32(i, uint32(v)) }
func (h *BHS) putStatus(s, exp, max Serial) { h.SetStatSN(s); h.SetWindow(exp, max) }

func bit(set bool, mask byte) byte {
	if set {
		return mask
	}
	return 0
}
