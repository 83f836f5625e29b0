package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/target"
	"github.com/holdfast-storage/holdfast/volume"
)

var _ target.Admission = (*Manager)(nil)

// The login statuses that refuse (RFC 7143 §11.13.5): class and detail.
const (
	initiatorError      = 0x02
	authorizationFailed = 0x02 // the initiator may not use the target
	targetNotFound      = 0x03
	targetError         = 0x03
	serviceUnavailable  = 0x01
)

// loginAttempt is an attempt as far as its names say.
type loginAttempt struct {
	leg   *leg.Leg
	login leg.Login
}

// resolve reads the names of an attempt and finds the leg. The error is a *target.Refusal.
func (m *Manager) resolve(a target.Attempt) (loginAttempt, error) {
	id, epoch, err := volume.ParseTargetName(a.TargetName)
	if err != nil {
		return loginAttempt{}, refusal(initiatorError, targetNotFound, err)
	}
	attach, err := volume.ParseInitiatorName(a.InitiatorName)
	if err != nil {
		return loginAttempt{}, refusal(initiatorError, authorizationFailed, err)
	}
	m.mu.Lock()
	served := m.legs[id]
	m.mu.Unlock()
	if served == nil {
		return loginAttempt{}, refusal(initiatorError, targetNotFound,
			fmt.Errorf("leg %s is not on this node", id))
	}
	if served.leg == nil {
		return loginAttempt{}, refusal(targetError, serviceUnavailable,
			fmt.Errorf("leg %s is %s: %w", id, served.state, served.err))
	}
	return loginAttempt{served.leg, leg.Login{Epoch: epoch, Attach: attach, ISID: a.ISID}}, nil
}

// Credentials returns the CHAP secret of an attachment for any epoch that is not below the leg's
// own. It changes nothing: nobody has proved anything yet.
func (m *Manager) Credentials(_ context.Context, a target.Attempt) (target.Credentials, error) {
	attempt, err := m.resolve(a)
	if err != nil {
		return target.Credentials{}, err
	}
	if err := attempt.leg.CheckEpoch(attempt.login.Epoch); err != nil {
		return target.Credentials{}, loginRefusal(err)
	}
	m.mu.Lock()
	incarnation := m.incarnation
	m.mu.Unlock()
	l := attempt.login
	return target.Credentials{
		User:   volume.ChapUser(l.Attach),
		Secret: volume.ChapSecret(m.options.NodeKey, incarnation, attempt.leg.ID(), l.Epoch, l.Attach),
	}, nil
}

// Admit fences: it is called once the initiator has proved that it has the secret of this epoch. It
// blocks until older sessions have drained and the label is durable.
func (m *Manager) Admit(ctx context.Context, a target.Attempt,
	control target.SessionControl) (target.Grant, error) {
	attempt, err := m.resolve(a)
	if err != nil {
		return target.Grant{}, err
	}
	session, err := attempt.leg.Login(ctx, attempt.login, control.Kill)
	if err != nil {
		return target.Grant{}, loginRefusal(err)
	}
	unit, err := logicalUnit(attempt.leg.ID(), session)
	if err != nil {
		return target.Grant{}, refusal(targetError, serviceUnavailable, errors.Join(err, session.Close()))
	}
	return target.Grant{
		LUNs:   map[uint64]scsi.LogicalUnit{0: unit},
		Closed: func() { _ = session.Close() }, // it has no error to give
	}, nil
}

// Targets lists nothing: an engine knows its legs from its ticket, and nobody else has business here.
func (m *Manager) Targets(string) []string { return nil }

// loginRefusal makes a refusal of a leg's error. The leg's epoch goes along where the leg decided:
// above the login's own, and only then, it means fenced.
func loginRefusal(err error) error {
	refused := (*leg.RefusedError)(nil)
	if !errors.As(err, &refused) || refused.Decision == leg.RefuseFailed {
		return refusal(targetError, serviceUnavailable, err)
	}
	r := refusal(initiatorError, authorizationFailed, err)
	r.TextKeys = [][2]string{{volume.EpochTextKey, strconv.FormatUint(uint64(refused.Epoch), 10)}}
	return r
}

func refusal(class, detail byte, err error) *target.Refusal {
	return &target.Refusal{Class: class, Detail: detail, Reason: err.Error()}
}

// unitIdentity is what makes a leg in one epoch another disk than the same leg in the next, so that
// multipath on a host never joins an old path and a new one.
func unitIdentity(id volume.LegID, e volume.Epoch) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), id.UUID[:]...), uint64(e))
}
