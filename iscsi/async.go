package iscsi

// AsyncEvent is what an Asynchronous Message tells (RFC 7143 §11.9.1).
type AsyncEvent byte

// The asynchronous events.
const (
	AsyncSCSIEvent         AsyncEvent = 0
	AsyncLogoutRequest     AsyncEvent = 1
	AsyncConnectionDropped AsyncEvent = 2
	AsyncSessionDropped    AsyncEvent = 3
	AsyncNegotiation       AsyncEvent = 4
	AsyncTasksTerminated   AsyncEvent = 5
	AsyncVendorSpecific    AsyncEvent = 255
)

// Async is the Asynchronous Message PDU (RFC 7143 §11.9). With AsyncSCSIEvent its data segment is
// sense data, made by AppendSense.
type Async struct {
	LUN        uint64
	StatSN     Serial
	ExpCmdSN   Serial
	MaxCmdSN   Serial
	Event      AsyncEvent
	VendorCode byte
	Parameter1 uint16
	Parameter2 uint16
	Parameter3 uint16
}

// ParseAsync decodes an Asynchronous Message.
func ParseAsync(h *BHS) (Async, error) {
	if err := h.expect(OpAsync); err != nil {
		return Async{}, err
	}
	return Async{LUN: h.u64(8), StatSN: h.sn(24), ExpCmdSN: h.sn(28), MaxCmdSN: h.sn(32),
		Event: AsyncEvent(h[36]), VendorCode: h[37],
		Parameter1: h.u16(38), Parameter2: h.u16(40), Parameter3: h.u16(42)}, nil
}

// Encode writes the header, lengths excepted.
func (p *Async) Encode(h *BHS) {
	h.start(OpAsync, false, finalBit)
	h.putU64(8, p.LUN)
	h.putU32(16, ReservedTag)
	h.putStatus(p.StatSN, p.ExpCmdSN, p.MaxCmdSN)
	h[36], h[37] = byte(p.Event), p.VendorCode
	h.putU16(38, p.Parameter1)
	h.putU16(40, p.Parameter2)
	h.putU16(42, p.Parameter3)
}
