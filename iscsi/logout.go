package iscsi

// LogoutReason says what a Logout Request wants to end (RFC 7143 §11.14.1).
type LogoutReason byte

// The logout reasons.
const (
	CloseSession      LogoutReason = 0
	CloseConnection   LogoutReason = 1
	RemoveConnection  LogoutReason = 2
	logoutReasonsMask              = 0x7f
)

// LogoutResponseCode answers a Logout Request (RFC 7143 §11.15.1).
type LogoutResponseCode byte

// The logout responses.
const (
	LogoutClosed               LogoutResponseCode = 0
	LogoutCIDNotFound          LogoutResponseCode = 1
	LogoutRecoveryNotSupported LogoutResponseCode = 2
	LogoutCleanupFailed        LogoutResponseCode = 3
)

// LogoutRequest is the Logout Request PDU (RFC 7143 §11.14).
type LogoutRequest struct {
	Immediate bool
	Reason    LogoutReason
	ITT       uint32
	CID       uint16
	CmdSN     Serial
	ExpStatSN Serial
}

// ParseLogoutRequest decodes a Logout Request.
func ParseLogoutRequest(h *BHS) (LogoutRequest, error) {
	if err := h.expect(OpLogoutRequest); err != nil {
		return LogoutRequest{}, err
	}
	return LogoutRequest{Immediate: h.Immediate(), Reason: LogoutReason(h[1] & logoutReasonsMask),
		ITT: h.ITT(), CID: h.u16(20), CmdSN: h.sn(24), ExpStatSN: h.sn(28)}, nil
}

// Encode writes the header.
func (p *LogoutRequest) Encode(h *BHS) {
	h.start(OpLogoutRequest, p.Immediate, finalBit|byte(p.Reason)&logoutReasonsMask)
	h.putU32(16, p.ITT)
	h.putU16(20, p.CID)
	h.putSN(24, p.CmdSN)
	h.putSN(28, p.ExpStatSN)
}

// LogoutResponse is the Logout Response PDU (RFC 7143 §11.15).
type LogoutResponse struct {
	Response    LogoutResponseCode
	ITT         uint32
	StatSN      Serial
	ExpCmdSN    Serial
	MaxCmdSN    Serial
	Time2Wait   uint16 // seconds
	Time2Retain uint16 // seconds
}

// ParseLogoutResponse decodes a Logout Response.
func ParseLogoutResponse(h *BHS) (LogoutResponse, error) {
	if err := h.expect(OpLogoutResponse); err != nil {
		return LogoutResponse{}, err
	}
	return LogoutResponse{Response: LogoutResponseCode(h[2]), ITT: h.ITT(), StatSN: h.sn(24),
		ExpCmdSN: h.sn(28), MaxCmdSN: h.sn(32), Time2Wait: h.u16(40), Time2Retain: h.u16(42)}, nil
}

// Encode writes the header.
func (p *LogoutResponse) Encode(h *BHS) {
	h.start(OpLogoutResponse, false, finalBit)
	h[2] = byte(p.Response)
	h.putU32(16, p.ITT)
	h.putStatus(p.StatSN, p.ExpCmdSN, p.MaxCmdSN)
	h.putU16(40, p.Time2Wait)
	h.putU16(42, p.Time2Retain)
}
