package iscsi

// Stage is a stage of the login phase (RFC 7143 §11.12.3).
type Stage byte

// The stages. Two is reserved.
const (
	SecurityNegotiation    Stage = 0
	OperationalNegotiation Stage = 1
	FullFeaturePhase       Stage = 3
)

const continueBit = 0x40 // of byte 1 of login and text PDUs

// ISID is the initiator's part of a session's identifier (RFC 7143 §11.12.5).
type ISID = [6]byte

// LoginRequest is the Login Request PDU (RFC 7143 §11.12). It is always immediate. Its data segment
// is text keys.
type LoginRequest struct {
	Transit    bool
	Continue   bool // the text goes on in the next request
	CSG, NSG   Stage
	VersionMax byte
	VersionMin byte
	ISID       ISID
	TSIH       uint16 // zero asks for a new session
	ITT        uint32
	CID        uint16
	CmdSN      Serial // the first one of the session, when TSIH is zero
	ExpStatSN  Serial
}

// ParseLoginRequest decodes a Login Request.
func ParseLoginRequest(h *BHS) (LoginRequest, error) {
	if err := h.expect(OpLoginRequest); err != nil {
		return LoginRequest{}, err
	}
	p := LoginRequest{
		Transit:    h.has(1, finalBit),
		Continue:   h.has(1, continueBit),
		CSG:        Stage(h[1] >> 2 & 3),
		NSG:        nextStage(h),
		VersionMax: h[2],
		VersionMin: h[3],
		ISID:       ISID(h[8:14]),
		TSIH:       h.u16(14),
		ITT:        h.ITT(),
		CID:        h.u16(20),
		CmdSN:      h.sn(24),
		ExpStatSN:  h.sn(28),
	}
	if err := checkStages("Login Request", p.Transit, p.Continue, p.CSG, p.NSG); err != nil {
		return LoginRequest{}, err
	}
	return p, nil
}

// Encode writes the header, lengths excepted.
func (p *LoginRequest) Encode(h *BHS) {
	h.start(OpLoginRequest, true, loginFlags(p.Transit, p.Continue, p.CSG, p.NSG))
	h[2], h[3] = p.VersionMax, p.VersionMin
	copy(h[8:], p.ISID[:])
	h.putU16(14, p.TSIH)
	h.putU32(16, p.ITT)
	h.putU16(20, p.CID)
	h.putSN(24, p.CmdSN)
	h.putSN(28, p.ExpStatSN)
}

// LoginResponse is the Login Response PDU (RFC 7143 §11.13). Its data segment is text keys.
type LoginResponse struct {
	Transit       bool
	Continue      bool // the text goes on in the next response
	CSG, NSG      Stage
	VersionMax    byte
	VersionActive byte
	ISID          ISID
	TSIH          uint16 // zero until the final response of a successful login
	ITT           uint32
	StatSN        Serial
	ExpCmdSN      Serial
	MaxCmdSN      Serial
	Status        LoginStatus
}

// ParseLoginResponse decodes a Login Response.
func ParseLoginResponse(h *BHS) (LoginResponse, error) {
	if err := h.expect(OpLoginResponse); err != nil {
		return LoginResponse{}, err
	}
	p := LoginResponse{
		Transit:       h.has(1, finalBit),
		Continue:      h.has(1, continueBit),
		CSG:           Stage(h[1] >> 2 & 3),
		NSG:           nextStage(h),
		VersionMax:    h[2],
		VersionActive: h[3],
		ISID:          ISID(h[8:14]),
		TSIH:          h.u16(14),
		ITT:           h.ITT(),
		StatSN:        h.sn(24),
		ExpCmdSN:      h.sn(28),
		MaxCmdSN:      h.sn(32),
		Status:        LoginStatus(h.u16(36)),
	}
	// The other fields of a refusal are not meaningful, so they are not judged (§11.13.5).
	if p.Status != LoginSuccess {
		return p, nil
	}
	if err := checkStages("Login Response", p.Transit, p.Continue, p.CSG, p.NSG); err != nil {
		return LoginResponse{}, err
	}
	return p, nil
}

// Encode writes the header, lengths excepted.
func (p *LoginResponse) Encode(h *BHS) {
	h.start(OpLoginResponse, false, loginFlags(p.Transit, p.Continue, p.CSG, p.NSG))
	h[2], h[3] = p.VersionMax, p.VersionActive
	copy(h[8:], p.ISID[:])
	h.putU16(14, p.TSIH)
	h.putU32(16, p.ITT)
	h.putStatus(p.StatSN, p.ExpCmdSN, p.MaxCmdSN)
	h.putU16(36, uint16(p.Status))
}

// nextStage returns NSG, which is reserved and zero here when T is not set.
func nextStage(h *BHS) Stage {
	if !h.has(1, finalBit) {
		return 0
	}
	return Stage(h[1] & 3)
}

func loginFlags(transit, cont bool, csg, nsg Stage) byte {
	flags := bit(transit, finalBit) | bit(cont, continueBit) | byte(csg&3)<<2
	if transit {
		flags |= byte(nsg & 3) // reserved otherwise
	}
	return flags
}

// checkStages refuses transitions that RFC 7143 §6.3 and §11.12 do not know.
func checkStages(what string, transit, cont bool, csg, nsg Stage) error {
	switch {
	case csg > OperationalNegotiation:
		return protocolErrorf(what, "11.12.3", "current stage %d", csg)
	case transit && cont:
		return protocolErrorf(what, "11.12.2", "T and C are both set")
	case transit && (nsg <= csg || nsg == 2):
		return protocolErrorf(what, "11.12.3", "transition from stage %d to %d", csg, nsg)
	}
	return nil
}
