package target

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

const (
	loginRequestsMax  = 64       // PDUs of one login
	loginTextBytesMax = 64 << 10 // text of one exchange
	// loginSegmentBytes is MaxRecvDataSegmentLength during login (RFC 7143 §13.12).
	loginSegmentBytes = 8192
)

// login is the login phase of one connection (RFC 7143 §6.3): requests are read and answered one
// at a time until the last answer says that the full feature phase begins, or refuses.
type login struct {
	conn    *conn
	req     iscsi.LoginRequest // the current one
	begun   bool               // a first request was answered
	text    iscsi.TextBuffer
	data    []byte // the text of one PDU
	keys    *iscsi.Negotiator
	stage   iscsi.Stage
	auth    authenticator
	attempt Attempt
	session *session // set by the final answer
	statSN  iscsi.Serial

	discovery bool
}

// loginAnswer is what one complete request gets.
type loginAnswer struct {
	pairs   []iscsi.KeyValue
	transit bool
	next    iscsi.Stage // with transit
	status  iscsi.LoginStatus
}

// login runs the login phase. It returns a session in full feature phase, or why there is none; the
// initiator has been told then if it could be. The caller bounds the time by the connection's
// deadline and by ctx.
func (c *conn) login(ctx context.Context) (*session, error) {
	l := &login{
		conn: c,
		text: iscsi.TextBuffer{Limit: loginTextBytesMax},
		keys: iscsi.NewNegotiator(iscsi.Target, false, c.server.opts.preferences()),
		data: make([]byte, loginSegmentBytes),
	}
	l.attempt.Local, l.attempt.Remote = c.raw.LocalAddr(), c.raw.RemoteAddr()
	err := l.run(ctx)
	if err == nil {
		return l.session, nil
	}
	err = fmt.Errorf("login of %q to %q: %w", l.attempt.InitiatorName, l.attempt.TargetName, err)
	if l.session != nil {
		l.session.leave()
	}
	return nil, err
}

func (l *login) run(ctx context.Context) error {
	for range loginRequestsMax {
		if err := l.read(); err != nil {
			return l.refuse(err)
		}
		if l.req.Continue {
			if err := l.send(loginAnswer{}); err != nil {
				return err
			}
			continue
		}
		pairs, err := l.text.Take()
		if err != nil {
			return l.refuse(err)
		}
		answer, err := l.step(ctx, pairs)
		if err != nil {
			return l.refuse(err)
		}
		if err := l.sendAll(answer); err != nil {
			return err
		}
		if answer.transit {
			l.stage = answer.next
		}
		if l.stage == iscsi.FullFeaturePhase {
			return nil
		}
	}
	return l.refuse(refuse(iscsi.LoginInitiatorError, "too many requests"))
}

// read takes one Login Request into req and its text into the buffer.
func (l *login) read() error {
	c := l.conn
	if _, err := c.reader.Next(&c.header); err != nil {
		return fmt.Errorf("%w: %w", errConnection, err)
	}
	if op := c.header.Opcode(); op != iscsi.OpLoginRequest {
		return fmt.Errorf("%w: opcode 0x%02x during login", errConnection, byte(op))
	}
	req, err := iscsi.ParseLoginRequest(&c.header)
	if !l.begun {
		// What the refusal of a malformed first request must echo.
		l.req.ITT, l.req.ISID = c.header.ITT(), iscsi.ISID(c.header[8:14])
	}
	if err != nil {
		return err
	}
	if err := l.check(req); err != nil {
		return err
	}
	l.req = req
	data := l.data[:c.header.DataLen()]
	if err := c.reader.ReadData(data); err != nil {
		return fmt.Errorf("%w: %w", errConnection, err)
	}
	return l.text.Add(data)
}

// check refuses a request that does not fit those before it.
func (l *login) check(req iscsi.LoginRequest) error {
	switch {
	case req.VersionMin > 0:
		return refuse(iscsi.LoginUnsupportedVersion, "no common protocol version")
	case !l.begun:
		l.stage = req.CSG
		l.attempt.ISID, l.attempt.TSIH = req.ISID, req.TSIH
		l.conn.window.start(req.CmdSN)
	case req.ISID != l.req.ISID || req.TSIH != l.req.TSIH || req.CID != l.req.CID || req.ITT != l.req.ITT:
		return refuse(iscsi.LoginInvalidDuringLogin, "ISID, TSIH, CID or task tag changed")
	case req.CSG != l.stage:
		return refuse(iscsi.LoginInitiatorError, "request in another stage than the last answer left")
	}
	return nil
}

// step answers one complete request.
func (l *login) step(ctx context.Context, pairs []iscsi.KeyValue) (loginAnswer, error) {
	security, operational := splitSecurity(pairs)
	answers, err := l.keys.Receive(operational)
	if err != nil {
		return loginAnswer{}, err
	}
	answer := loginAnswer{pairs: answers, next: l.req.NSG}
	if !l.begun {
		if err := l.identify(ctx); err != nil {
			return answer, err
		}
		l.begun = true
		if !l.discovery {
			answer.pairs = append(answer.pairs, iscsi.KeyValue{
				Key: iscsi.KeyTargetPortalGroupTag, Value: fmt.Sprint(portalGroup)})
		}
	}
	if l.stage == iscsi.SecurityNegotiation {
		proof, err := l.auth.step(security)
		if err != nil {
			return answer, err
		}
		answer.pairs = append(answer.pairs, proof...)
		answer.transit = l.req.Transit && l.auth.satisfied()
	} else {
		if len(security) > 0 {
			return answer, refuse(iscsi.LoginInitiatorError, security[0].Key+" outside the security stage")
		}
		if !l.auth.satisfied() {
			return answer, refuse(iscsi.LoginAuthFailure, "the security stage was skipped")
		}
		answer.pairs = append(answer.pairs, l.keys.Offer()...)
		answer.transit = l.req.Transit
	}
	if answer.transit && answer.next == iscsi.FullFeaturePhase {
		extra, err := l.admit(ctx)
		answer.pairs = append(answer.pairs, extra...)
		return answer, err
	}
	return answer, nil
}

// identify takes from the first request who logs in to what, and learns what it must prove.
func (l *login) identify(ctx context.Context) error {
	initiator, ok := l.keys.Declared(iscsi.KeyInitiatorName)
	if !ok || initiator == "" {
		return refuse(iscsi.LoginMissingParameter, "InitiatorName is missing")
	}
	if !scsi.ValidInitiatorName(initiator) {
		return refuse(iscsi.LoginInitiatorError, "InitiatorName is no name: UTF-8 without blanks, at most 223 bytes")
	}
	l.attempt.InitiatorName = initiator
	kind, ok := l.keys.Declared(iscsi.KeySessionType)
	switch {
	case ok && kind == iscsi.SessionDiscovery:
		l.discovery = true
		l.keys.SetDiscovery()
		return nil
	case ok && kind != iscsi.SessionNormal:
		return refuse(iscsi.LoginSessionType, "unknown SessionType")
	}
	target, ok := l.keys.Declared(iscsi.KeyTargetName)
	if !ok || target == "" {
		return refuse(iscsi.LoginMissingParameter, "TargetName is missing")
	}
	if len(target) > maxNameBytes {
		return refuse(iscsi.LoginNotFound, "TargetName is too long")
	}
	l.attempt.TargetName = target
	creds, err := l.conn.server.opts.Admission.Credentials(ctx, l.attempt)
	if err != nil {
		return err
	}
	l.auth.require(creds, l.conn.server.opts.Random)
	return nil
}

// maxNameBytes is the longest iSCSI name (RFC 7143 §4.2.7.1).
const maxNameBytes = 223

// admit makes the session. It blocks until older sessions of the same nexus have drained and until
// the Admission lets the login pass. The pairs go with the final answer.
func (l *login) admit(ctx context.Context) ([]iscsi.KeyValue, error) {
	if !l.discovery {
		l.conn.server.noLogin(l.conn) // a discovery session proves nothing: it stays one of those that give way
	}
	s := &session{
		server: l.conn.server, conn: l.conn, discovery: l.discovery, ended: make(chan struct{}),
		key:   sessionKey{l.attempt.TargetName, l.attempt.InitiatorName, l.attempt.ISID},
		nexus: scsi.Nexus{InitiatorName: l.attempt.InitiatorName, ISID: l.attempt.ISID, TPGT: portalGroup},
	}
	s.admitting, s.giveUp = context.WithCancel(ctx)
	s.params = l.keys.Params()
	if l.discovery {
		if l.attempt.TSIH != 0 {
			return nil, refuse(iscsi.LoginSessionDoesNotExist, "no discovery session to join")
		}
		s.tsih = 1
		l.session = s
		return nil, nil
	}
	if refusal := s.enter(ctx, l.attempt.TSIH); refusal != nil {
		s.giveUp()
		return nil, refusal
	}
	l.session = s // from here on the session is to leave
	grant, err := s.server.opts.Admission.Admit(s.admitting, l.attempt, s)
	if err != nil {
		return nil, err
	}
	s.grant, s.units = grant, newUnits(grant.LUNs)
	return textKeys(grant.TextKeys), nil
}

// errConnection means that the connection is of no use for an answer.
var errConnection = errors.New("connection ended")

// refuse tells the initiator why there is no session, and returns the cause for the log.
func (l *login) refuse(cause error) error {
	if errors.Is(cause, errConnection) {
		return cause
	}
	answer := loginAnswer{status: iscsi.LoginTargetError}
	var refusal *Refusal
	var broken *iscsi.ProtocolError
	switch {
	case errors.As(cause, &refusal):
		answer.status = iscsi.LoginStatus(uint16(refusal.Class)<<8 | uint16(refusal.Detail))
		answer.pairs = textKeys(refusal.TextKeys)
		if refusal.Class == 0 {
			answer.status = iscsi.LoginTargetError // a refusal never reads as success
		}
	case errors.Is(cause, iscsi.ErrAuthFailed):
		answer.status = iscsi.LoginAuthFailure
	case errors.As(cause, &broken):
		answer.status = iscsi.LoginInitiatorError
	case errors.Is(cause, context.Canceled), errors.Is(cause, context.DeadlineExceeded):
		answer.status = iscsi.LoginServiceUnavailable
	}
	return errors.Join(fmt.Errorf("refused with %s: %w", answer.status, cause), l.send(answer))
}

func textKeys(keys [][2]string) []iscsi.KeyValue {
	var pairs []iscsi.KeyValue
	for _, k := range keys {
		pairs = append(pairs, iscsi.KeyValue{Key: k[0], Value: k[1]})
	}
	return pairs
}
