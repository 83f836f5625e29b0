package iscsi

import "fmt"

// String returns the name of the PDU (RFC 7143 §11.1).
func (o Opcode) String() string {
	switch o {
	case OpNOPOut:
		return "NOP-Out"
	case OpSCSICommand:
		return "SCSI Command"
	case OpTaskRequest:
		return "Task Management Request"
	case OpLoginRequest:
		return "Login Request"
	case OpTextRequest:
		return "Text Request"
	case OpDataOut:
		return "Data-Out"
	case OpLogoutRequest:
		return "Logout Request"
	case OpSNACK:
		return "SNACK"
	case OpNOPIn:
		return "NOP-In"
	case OpSCSIResponse:
		return "SCSI Response"
	case OpTaskResponse:
		return "Task Management Response"
	case OpLoginResponse:
		return "Login Response"
	case OpTextResponse:
		return "Text Response"
	case OpDataIn:
		return "Data-In"
	case OpLogoutResponse:
		return "Logout Response"
	case OpR2T:
		return "R2T"
	case OpAsync:
		return "Asynchronous Message"
	case OpReject:
		return "Reject"
	}
	return fmt.Sprintf("opcode %#02x", byte(o))
}

// Describe returns one line about a PDU for people who look at a session: what it is, its tags and numbers, and
// how much data it carries, but none of the data.
func (h *BHS) Describe() string {
	op := h.Opcode()
	text := op.String()
	if h.Immediate() {
		text += " immediate"
	}
	if h.Final() {
		text += " final"
	}
	text += fmt.Sprintf(" itt=%#x", h.ITT())
	switch op {
	case OpSCSICommand:
		text += fmt.Sprintf(" lun=%#x cdb=% x expected=%d", h.u64(8)>>48, h[32:48], h.u32(20))
	case OpTaskRequest:
		text += fmt.Sprintf(" lun=%#x function=%d ref=%#x", h.u64(8)>>48, h[1]&0x7f, h.u32(20))
	case OpDataOut, OpDataIn:
		text += fmt.Sprintf(" ttt=%#x datasn=%d offset=%d", h.u32(20), h.u32(36), h.u32(40))
	case OpR2T:
		text += fmt.Sprintf(" ttt=%#x r2tsn=%d offset=%d wants=%d", h.u32(20), h.u32(36), h.u32(40), h.u32(44))
	case OpSCSIResponse, OpTaskResponse:
		text += fmt.Sprintf(" response=%#02x", h[2])
	case OpNOPIn, OpNOPOut, OpTextRequest, OpTextResponse:
		text += fmt.Sprintf(" ttt=%#x", h.u32(20))
	case OpAsync:
		text += fmt.Sprintf(" event=%d", h[36])
	case OpReject:
		text += fmt.Sprintf(" reason=%#02x", h[2])
	}
	if op == OpSCSIResponse || op == OpDataIn && h.has(1, 0x01) {
		text += fmt.Sprintf(" status=%#02x residual=%d", h[3], h.u32(44))
	}
	switch {
	case op < OpNOPIn && op != OpDataOut && op != OpSNACK:
		text += fmt.Sprintf(" cmdsn=%d expstatsn=%d", h.CmdSN(), h.ExpStatSN())
	case op >= OpNOPIn && (op != OpDataIn || h.has(1, 0x01)):
		text += fmt.Sprintf(" statsn=%d expcmdsn=%d maxcmdsn=%d", h.u32(24), h.u32(28), h.u32(32))
	}
	if n := h.DataLen(); n > 0 {
		text += fmt.Sprintf(" data=%d", n)
	}
	return text
}
