package target

import (
	"crypto/rand"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
)

const (
	sec = iscsi.SecurityNegotiation
	ops = iscsi.OperationalNegotiation
	ffp = iscsi.FullFeaturePhase
)

func TestLogin_refused(t *testing.T) {
	secret := Credentials{User: "me", Secret: "my secret word"}
	for name, c := range map[string]struct {
		creds  Credentials
		stage  iscsi.Stage
		pairs  []iscsi.KeyValue
		status iscsi.LoginStatus
	}{
		"no initiator name": {Credentials{}, ops, kv("TargetName", testTarget),
			iscsi.LoginMissingParameter},
		"no target name": {Credentials{}, ops, kv("InitiatorName", "x"),
			iscsi.LoginMissingParameter},
		"unknown target": {Credentials{}, ops, kv("InitiatorName", "x", "TargetName", "y"),
			iscsi.LoginNotFound},
		"unknown session type": {Credentials{}, ops, kv("InitiatorName", "x", "SessionType", "Odd"),
			iscsi.LoginSessionType},
		"name too long": {Credentials{}, ops, kv("InitiatorName", strings.Repeat("x", 224)),
			iscsi.LoginInitiatorError},
		"key twice": {Credentials{}, ops, append(names(), kv("InitialR2T", "No", "InitialR2T", "No")...),
			iscsi.LoginInitiatorError},
		"security stage skipped": {secret, ops, names(), iscsi.LoginAuthFailure},
		"no AuthMethod":          {secret, sec, names(), iscsi.LoginAuthFailure},
		"AuthMethod None": {secret, sec, append(names(), kv("AuthMethod", "None")...),
			iscsi.LoginAuthFailure},
		"CHAP where nobody asks for it": {Credentials{}, sec, append(names(), kv("AuthMethod", "CHAP")...),
			iscsi.LoginAuthFailure},
		"a user without a secret": {Credentials{User: "me"}, sec,
			append(names(), kv("AuthMethod", "CHAP", "CHAP_A", "7")...), iscsi.LoginAuthFailure},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, &testAdmission{creds: c.creds}, nil)
			p := h.dial()
			resp, _ := p.ask(true, c.stage, ffp, c.pairs)
			require.Equal(t, c.status, resp.Status)
			p.closed()
			h.stop()
			require.Zero(t, h.adm.admitted.Load(), "nobody was admitted")
		})
	}
}

// chapLogin plays a whole login with CHAP and returns the last answer.
func chapLogin(p *peer, i *iscsi.CHAPInitiator) (iscsi.LoginResponse, error) {
	resp, answer := p.ask(false, sec, 0, append(names(), kv("AuthMethod", "CHAP,None")...))
	require.Contains(p.t, answer, iscsi.KeyValue{Key: "AuthMethod", Value: "CHAP"})
	require.Contains(p.t, answer, iscsi.KeyValue{Key: "TargetPortalGroupTag", Value: "1"})
	require.False(p.t, resp.Transit)
	_, answer = p.ask(false, sec, 0, i.Start())
	proof, _, err := i.Step(answer)
	require.NoError(p.t, err)
	resp, answer = p.ask(true, sec, ops, proof)
	if resp.Status != iscsi.LoginSuccess {
		return resp, nil
	}
	require.True(p.t, resp.Transit)
	if i.MutualSecret != "" {
		if _, _, err = i.Step(answer); err != nil {
			return resp, err
		}
	}
	resp, _ = p.ask(true, ops, ffp, kv("HeaderDigest", "None"))
	return resp, nil
}

func TestLogin_chap(t *testing.T) {
	creds := Credentials{User: "me", Secret: "my secret word",
		MutualUser: "disk", MutualSecret: "its secret word"}
	for _, mutual := range []bool{false, true} {
		for _, a := range iscsi.DefaultCHAPAlgorithms() {
			h := newHarness(t, &testAdmission{creds: creds}, nil)
			i := &iscsi.CHAPInitiator{Algorithms: []iscsi.CHAPAlgorithm{a}, User: "me",
				Secret: "my secret word", Random: rand.Reader}
			if mutual {
				i.MutualUser, i.MutualSecret = "disk", "its secret word"
			}
			p := h.dial()
			resp, err := chapLogin(p, i)
			require.NoError(t, err)
			require.Equal(t, iscsi.LoginSuccess, resp.Status)
			p.ready()
			h.stop()
		}
	}
}

func TestLogin_chapWrongSecretAdmitsNobody(t *testing.T) {
	h := newHarness(t, &testAdmission{creds: Credentials{User: "me", Secret: "my secret word"}}, nil)
	p := h.dial()
	resp, _ := chapLogin(p, &iscsi.CHAPInitiator{User: "me", Secret: "another word", Random: rand.Reader})
	require.Equal(t, iscsi.LoginAuthFailure, resp.Status)
	p.closed()
	h.stop()
	require.Zero(t, h.adm.admitted.Load())
}

func TestLogin_refusalCarriesTextKeys(t *testing.T) {
	h := newHarness(t, &testAdmission{refuse: &Refusal{Class: 2, Detail: 2, Reason: "old epoch",
		TextKeys: [][2]string{{"X-io.holdfast.epoch", "9"}}}}, nil)
	p := h.dial()
	resp, answer := p.ask(true, ops, ffp, names())
	require.Equal(t, iscsi.LoginForbidden, resp.Status)
	require.Equal(t, kv("X-io.holdfast.epoch", "9"), answer)
	p.closed()
	h.stop()
}

func TestLogin_longText(t *testing.T) {
	// The request comes in two PDUs and the answer needs two.
	long := strings.Repeat("v", 8000)
	h := newHarness(t, &testAdmission{keys: [][2]string{{"X-a", long}, {"X-b", long}}}, nil)
	p := h.dial()
	text := iscsi.AppendText(nil, names()...)
	req := iscsi.LoginRequest{Continue: true, CSG: ops, ISID: p.isid, ITT: 1, CmdSN: 1}
	p.send(&req, text[:20])
	g := p.receive()
	require.False(t, g.h.Final())
	require.Zero(t, g.h.DataLen())
	req.Continue, req.Transit, req.NSG = false, true, ffp
	p.send(&req, text[20:])
	g = p.receive()
	all := g.data
	first, err := iscsi.ParseLoginResponse(&g.h)
	require.NoError(t, err)
	require.True(t, first.Continue)
	req.Transit = false
	for !g.h.Final() {
		p.send(&req, nil)
		g = p.receive()
		all = append(all, g.data...)
	}
	last, err := iscsi.ParseLoginResponse(&g.h)
	require.NoError(t, err)
	require.Equal(t, ffp, last.NSG)
	pairs, err := iscsi.ParseText(all)
	require.NoError(t, err)
	require.Contains(t, pairs, iscsi.KeyValue{Key: "X-b", Value: long})
	p.ready()
	h.stop()
}

func TestLogin_timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{}, func(o *Options) { o.LoginTimeout = 7 * time.Second })
		start := time.Now()
		p := h.dial()
		p.ask(false, ops, 0, names()) // and then nothing
		p.closed()
		require.Equal(t, 7*time.Second, time.Since(start))
		h.stop()
	})
}

func TestLogin_stateMayNotChange(t *testing.T) {
	h := newHarness(t, &testAdmission{}, nil)
	p := h.dial()
	p.ask(false, ops, 0, names())
	p.isid[5] = 9
	resp, _ := p.ask(true, ops, ffp, nil)
	require.Equal(t, iscsi.LoginInvalidDuringLogin, resp.Status)
	h.stop()
}

func TestDiscovery_sendTargets(t *testing.T) {
	h := newHarness(t, &testAdmission{}, nil)
	p := h.dial()
	resp, _ := p.ask(true, ops, ffp, kv("InitiatorName", testInitiator, "SessionType", "Discovery"))
	require.Equal(t, iscsi.LoginSuccess, resp.Status)
	p.send(&iscsi.TextRequest{Final: true, ITT: 3, TTT: iscsi.ReservedTag, CmdSN: 1},
		iscsi.AppendText(nil, kv("SendTargets", "All")...))
	g := p.receive()
	text, err := iscsi.ParseText(g.data)
	require.NoError(t, err)
	require.Equal(t, kv("TargetName", testTarget, "TargetAddress", "pipe,1",
		"TargetName", testTarget+"2", "TargetAddress", "pipe,1"), text)
	// Anything but text, ping and logout is refused there.
	p.cmdSN = 2
	p.testUnitReady()
	require.Equal(t, iscsi.OpReject, p.receive().opcode())
	p.closed()
	h.stop()
	require.Zero(t, h.adm.admitted.Load())
}
