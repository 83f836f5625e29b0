package target

import (
	"io"
	"strings"

	"github.com/holdfast-storage/holdfast/iscsi"
)

// authenticator is the security stage of one login. The zero value asks for nothing.
type authenticator struct {
	chap   *iscsi.CHAPTarget // nil when nothing is to be proved
	agreed bool              // AuthMethod is settled
	proved bool
}

// require says what the initiator must prove.
func (a *authenticator) require(c Credentials, random io.Reader) {
	if c.User == "" && c.Secret == "" {
		return
	}
	a.chap = &iscsi.CHAPTarget{User: c.User, Secret: c.Secret,
		MutualUser: c.MutualUser, MutualSecret: c.MutualSecret, Random: random}
}

// satisfied reports whether the login may leave the security stage.
func (a *authenticator) satisfied() bool { return a.chap == nil || a.proved }

// step takes the security keys of one request and returns those of the answer.
func (a *authenticator) step(pairs []iscsi.KeyValue) ([]iscsi.KeyValue, error) {
	var answer, rest []iscsi.KeyValue
	for _, p := range pairs {
		if p.Key != iscsi.KeyAuthMethod {
			rest = append(rest, p)
			continue
		}
		if a.agreed {
			return nil, refuse(iscsi.LoginInitiatorError, "AuthMethod is negotiated twice")
		}
		method := iscsi.AuthNone
		if a.chap != nil {
			method = iscsi.AuthCHAP
		}
		if _, ok := iscsi.Choose(p.Value, method); !ok {
			return nil, refuse(iscsi.LoginAuthFailure, "AuthMethod "+method+" was not offered")
		}
		a.agreed = true
		answer = append(answer, iscsi.KeyValue{Key: iscsi.KeyAuthMethod, Value: method})
	}
	switch {
	case a.chap == nil && len(rest) > 0:
		return nil, refuse(iscsi.LoginInitiatorError, rest[0].Key+" without CHAP")
	case a.chap == nil, a.proved && len(rest) == 0:
		return answer, nil
	case !a.agreed:
		return nil, refuse(iscsi.LoginAuthFailure, "CHAP is required")
	case len(rest) == 0:
		// Having agreed on CHAP, the initiator now sends CHAP_A. An empty request later on would
		// skip a step; then CHAP itself finds its keys missing.
		if len(answer) > 0 {
			return answer, nil
		}
	}
	proof, proved, err := a.chap.Step(rest)
	if err != nil {
		return nil, err
	}
	a.proved = proved
	return append(answer, proof...), nil
}

// splitSecurity separates the keys of the security stage from the others.
func splitSecurity(pairs []iscsi.KeyValue) (security, operational []iscsi.KeyValue) {
	for _, p := range pairs {
		if p.Key == iscsi.KeyAuthMethod || strings.HasPrefix(p.Key, "CHAP_") {
			security = append(security, p)
		} else {
			operational = append(operational, p)
		}
	}
	return security, operational
}
