package initiator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/netio"
)

const (
	// maxLoginRounds bounds the exchanges of one login.
	maxLoginRounds = 32
	// loginTextBytes bounds the text of one answer.
	loginTextBytes = 64 << 10
	loginITT       = 1
	firstCmdSN     = 1

	maxRecvBytes = 256 << 10 // our MaxRecvDataSegmentLength
	burstBytes   = 1 << 20   // the MaxBurstLength we ask for
	firstBytes   = 256 << 10 // the FirstBurstLength we ask for
	maxR2T       = 4         // the MaxOutstandingR2T we ask for
)

// login is the login phase of one connection.
type login struct {
	options    Options
	conn       net.Conn
	in         *iscsi.Reader
	out        iscsi.Batch
	negotiator *iscsi.Negotiator

	rounds    int
	expStatSN iscsi.Serial
	last      iscsi.LoginResponse
}

func newLogin(conn net.Conn, o Options) *login {
	digests := func(wanted bool) []string {
		if wanted {
			return []string{iscsi.DigestCRC32C, iscsi.DigestNone}
		}
		return nil
	}
	return &login{
		options: o,
		conn:    conn,
		in:      iscsi.NewReader(conn, readerBytes),
		negotiator: iscsi.NewNegotiator(iscsi.Initiator, false, iscsi.Preferences{
			HeaderDigest:             digests(o.HeaderDigest),
			DataDigest:               digests(o.DataDigest),
			MaxRecvDataSegmentLength: maxRecvBytes,
			MaxBurstLength:           burstBytes,
			FirstBurstLength:         firstBytes,
			MaxOutstandingR2T:        maxR2T,
			InitialR2T:               false,
			ImmediateData:            true,
		}),
	}
}

// run logs in. Its errors are those of Login.
func (l *login) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.options.LoginTimeout)
	defer cancel()
	// A deadline in the past makes whatever the connection is doing fail at once.
	unhook := context.AfterFunc(ctx, func() { l.conn.SetDeadline(time.Unix(1, 0)) })
	err := l.security()
	if err == nil {
		err = l.operational()
	}
	if !unhook() && (err == nil || errors.Is(err, block.ErrUnreachable)) {
		return l.unreachable(ctx.Err())
	}
	return err
}

// failed says that the target is there but is no good.
func (l *login) failed(err error) error {
	return fmt.Errorf("login to %s: %w: %w", l.options.TargetName, block.ErrFailed, err)
}

// security is the stage SecurityNegotiation: who we are, and the proof.
func (l *login) security() error {
	pairs := []iscsi.KeyValue{
		{Key: iscsi.KeyInitiatorName, Value: l.options.InitiatorName},
		{Key: iscsi.KeySessionType, Value: iscsi.SessionNormal},
		{Key: iscsi.KeyTargetName, Value: l.options.TargetName},
	}
	if l.options.CHAP.User == "" {
		pairs = append(pairs, iscsi.KeyValue{Key: iscsi.KeyAuthMethod, Value: iscsi.AuthNone})
		answer, err := l.exchange(iscsi.SecurityNegotiation, iscsi.OperationalNegotiation, pairs)
		if err != nil {
			return err
		}
		if err := l.expectMethod(answer, iscsi.AuthNone); err != nil {
			return err
		}
		return l.leaveSecurity()
	}
	pairs = append(pairs, iscsi.KeyValue{Key: iscsi.KeyAuthMethod, Value: iscsi.AuthCHAP})
	answer, err := l.exchange(iscsi.SecurityNegotiation, stay, pairs)
	if err != nil {
		return err
	}
	if err := l.expectMethod(answer, iscsi.AuthCHAP); err != nil {
		return err
	}
	return l.chap()
}

func (l *login) chap() error {
	c := l.options.CHAP
	chap := &iscsi.CHAPInitiator{Algorithms: c.Algorithms, User: c.User, Secret: c.Secret,
		MutualUser: c.MutualUser, MutualSecret: c.MutualSecret, Random: rand.Reader}
	answer, err := l.exchange(iscsi.SecurityNegotiation, stay, chap.Start())
	if err != nil {
		return err
	}
	proof, done, err := chap.Step(l.chapKeys(answer))
	if err != nil {
		return l.failed(err)
	}
	answer, err = l.exchange(iscsi.SecurityNegotiation, iscsi.OperationalNegotiation, proof)
	if err != nil {
		return err
	}
	if !done {
		// The target has its own secret to prove, before it may let us go on.
		if _, done, err = chap.Step(l.chapKeys(answer)); err != nil {
			return l.failed(err)
		}
		if !done {
			return l.failed(iscsi.ErrAuthFailed)
		}
	}
	return l.leaveSecurity()
}

// leaveSecurity asks again for the operational stage until the target agrees.
func (l *login) leaveSecurity() error {
	for !l.last.Transit {
		if _, err := l.exchange(iscsi.SecurityNegotiation, iscsi.OperationalNegotiation, nil); err != nil {
			return err
		}
	}
	return nil
}

// expectMethod looks what the target chose of the one AuthMethod that was offered.
func (l *login) expectMethod(answer []iscsi.KeyValue, method string) error {
	for _, p := range answer {
		if p.Key == iscsi.KeyAuthMethod && p.Value == method {
			return nil
		}
	}
	return l.failed(fmt.Errorf("%w: target does not accept AuthMethod=%s", iscsi.ErrAuthFailed, method))
}

func (l *login) chapKeys(pairs []iscsi.KeyValue) []iscsi.KeyValue {
	return slices.DeleteFunc(slices.Clone(pairs), func(p iscsi.KeyValue) bool {
		return !strings.HasPrefix(p.Key, "CHAP_")
	})
}

// operational is the stage LoginOperationalNegotiation.
func (l *login) operational() error {
	pairs := l.negotiator.Offer()
	for {
		answer, err := l.exchange(iscsi.OperationalNegotiation, iscsi.FullFeaturePhase, pairs)
		if err != nil {
			return err
		}
		if pairs, err = l.negotiator.Receive(answer); err != nil {
			return l.failed(err)
		}
		if l.last.Transit {
			if len(pairs) > 0 {
				return l.failed(fmt.Errorf("target ends the login with %s unanswered", pairs[0].Key))
			}
			return nil
		}
	}
}

// stay as the next stage means not to ask for a transition.
const stay = iscsi.SecurityNegotiation

// exchange sends one request and returns the text of the whole answer. In the security stage the
// keys that belong to no method go to the negotiator.
func (l *login) exchange(csg, nsg iscsi.Stage, pairs []iscsi.KeyValue) ([]iscsi.KeyValue, error) {
	text := iscsi.TextBuffer{Limit: loginTextBytes}
	for {
		if l.rounds++; l.rounds > maxLoginRounds {
			return nil, l.failed(errors.New("the login does not end"))
		}
		data, err := l.roundTrip(csg, nsg, iscsi.AppendText(nil, pairs...))
		if err != nil {
			return nil, err
		}
		if err := text.Add(data); err != nil {
			return nil, l.failed(err)
		}
		if l.last.Continue {
			pairs = nil // an empty request asks for the rest
			continue
		}
		answer, err := text.Take()
		if l.last.Status != iscsi.LoginSuccess {
			return nil, l.refused(answer)
		}
		if err != nil {
			return nil, l.failed(err)
		}
		if err := l.checkStage(csg, nsg); err != nil {
			return nil, l.failed(err)
		}
		if csg == iscsi.SecurityNegotiation {
			return l.keepSecurity(answer)
		}
		return answer, nil
	}
}

// keepSecurity returns the keys of the security stage and hands all others to the negotiator.
func (l *login) keepSecurity(answer []iscsi.KeyValue) (keys []iscsi.KeyValue, err error) {
	var rest []iscsi.KeyValue
	for _, p := range answer {
		if p.Key == iscsi.KeyAuthMethod || strings.HasPrefix(p.Key, "CHAP_") {
			keys = append(keys, p)
		} else {
			rest = append(rest, p)
		}
	}
	if _, err := l.negotiator.Receive(rest); err != nil {
		return nil, l.failed(err)
	}
	return keys, nil
}

func (l *login) refused(keys []iscsi.KeyValue) error {
	status := l.last.Status
	return &LoginError{
		TargetName: l.options.TargetName,
		Class:      status.Class(),
		Detail:     status.Detail(),
		TextKeys:   keys,
		fenced:     l.options.Fenced != nil && l.options.Fenced(keys),
	}
}

func (l *login) checkStage(csg, nsg iscsi.Stage) error {
	if l.last.CSG != csg || l.last.Transit && (nsg == stay || l.last.NSG != nsg) {
		return fmt.Errorf("target is in stage %d, going to %d", l.last.CSG, l.last.NSG)
	}
	return nil
}

// roundTrip sends one Login Request and reads one Login Response, which becomes l.last.
func (l *login) roundTrip(csg, nsg iscsi.Stage, data []byte) ([]byte, error) {
	request := iscsi.LoginRequest{CSG: csg, ISID: l.options.ISID, ITT: loginITT,
		CmdSN: firstCmdSN, ExpStatSN: l.expStatSN}
	if nsg != stay {
		request.Transit, request.NSG = true, nsg
	}
	var h iscsi.BHS
	request.Encode(&h)
	l.out.Append(&h, data)
	_, err := l.out.WriteTo(l.conn)
	l.out.Reset()
	if err != nil {
		return nil, l.unreachable(err)
	}
	if _, err := l.in.Next(&h); err != nil {
		return nil, l.unreachable(err)
	}
	if l.last, err = iscsi.ParseLoginResponse(&h); err != nil {
		return nil, l.failed(err)
	}
	if l.last.ITT != loginITT && l.last.Status == iscsi.LoginSuccess {
		return nil, l.failed(errUnknownTask)
	}
	l.expStatSN = l.last.StatSN.Next()
	answer := make([]byte, h.DataLen())
	if err := l.in.ReadData(answer); err != nil {
		return nil, l.unreachable(err)
	}
	return answer, nil
}

func (l *login) unreachable(err error) error {
	return fmt.Errorf("login to %s: %w: %w", l.options.TargetName, block.ErrUnreachable, err)
}

// session makes the session of a login that has succeeded.
func (l *login) session() *Session {
	params := l.negotiator.Params()
	s := &Session{
		options: l.options,
		conn:    l.conn,
		params:  params,
		keys:    l.negotiator.Unknown(),
		in:      l.in,
		sense:   make([]byte, maxSenseBytes),
		plug:    l.options.Plug,
		sender:  netio.NewSender(l.conn),
		wake:    make(chan struct{}, 1),
		dying:   make(chan struct{}),
		ended:   make(chan struct{}),
		window: window{
			depth:     l.options.QueueDepth,
			cmdSN:     firstCmdSN,
			expCmdSN:  l.last.ExpCmdSN,
			maxCmdSN:  l.last.MaxCmdSN,
			expStatSN: l.expStatSN,
		},
	}
	s.in.SetDigests(params.Digests)
	s.in.SetMaxData(int(params.MaxRecvDataSegmentLength))
	s.batch.SetDigests(params.Digests)
	s.deadline.start(l.options.Deadline, s.checkDeadline)
	return s
}
