package initiator

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/iscsi"
)

// loginWith runs Login against a script for the peer and returns what Login returned.
func loginWith(t *testing.T, change func(*Options), script func(p *peer)) (s *Session, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, conn := newPeer(t)
		o := testOptions()
		if change != nil {
			change(&o)
		}
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			script(p)
		}()
		s, err = Login(t.Context(), conn, o)
		<-finished
		if s != nil {
			s.Close()
		} else {
			p.ends()
		}
	})
	return s, err
}

func TestLogin_negotiates(t *testing.T) {
	var asked map[string]string
	s, err := loginWith(t, func(o *Options) { o.HeaderDigest = true }, func(p *peer) {
		request, _ := p.loginText()
		p.answer(request, "AuthMethod=None TargetPortalGroupTag=1 TargetAlias=x")
		request, asked = p.loginText()
		p.answer(request, "HeaderDigest=CRC32C DataDigest=None InitialR2T=Yes ImmediateData=Yes "+
			"MaxBurstLength=65536 FirstBurstLength=4096 MaxRecvDataSegmentLength=16384 "+
			"MaxOutstandingR2T=1 X-io.example.hint=7")
	})
	require.NoError(t, err)
	require.Equal(t, "CRC32C,None", asked["HeaderDigest"])
	require.Equal(t, "No", asked["InitialR2T"])
	require.Equal(t, "0", asked["ErrorRecoveryLevel"])
	p := s.Params()
	require.Equal(t, iscsi.Digests{Header: true}, p.Digests)
	require.True(t, p.InitialR2T && p.ImmediateData)
	require.Equal(t, []uint32{65536, 4096, 16384, maxRecvBytes},
		[]uint32{p.MaxBurstLength, p.FirstBurstLength, p.MaxSendDataSegmentLength, p.MaxRecvDataSegmentLength})
	require.Equal(t, []iscsi.KeyValue{{Key: "X-io.example.hint", Value: "7"}}, s.TextKeys())
}

func TestLogin_answersTheTargetsOwnOffers(t *testing.T) {
	_, err := loginWith(t, nil, func(p *peer) {
		request, _ := p.loginText()
		p.answer(request, "AuthMethod=None")
		request, _ = p.loginText()
		p.loginResponse(iscsi.LoginResponse{CSG: request.CSG, ITT: request.ITT},
			"TaskReporting=RFC3720 X-com.example=1")
		request, keys := p.loginText()
		require.Equal(t, "RFC3720", keys["TaskReporting"])
		require.True(t, request.Transit)
		p.answer(request, "")
	})
	require.NoError(t, err)
}

func TestLogin_textInParts(t *testing.T) {
	s, err := loginWith(t, nil, func(p *peer) {
		request, _ := p.loginText()
		p.answer(request, "AuthMethod=None")
		request, _ = p.loginText()
		p.loginResponse(iscsi.LoginResponse{Continue: true, CSG: request.CSG, ITT: request.ITT},
			"MaxBurstLength=65536")
		request, keys := p.loginText()
		require.Empty(t, keys)
		p.answer(request, "FirstBurstLength=512")
	})
	require.NoError(t, err)
	require.Equal(t, uint32(65536), s.Params().MaxBurstLength)
	require.Equal(t, uint32(512), s.Params().FirstBurstLength)
}

// epochAbove is a fence hook as a leg's engine has one.
func epochAbove(own string) func([]iscsi.KeyValue) bool {
	return func(keys []iscsi.KeyValue) bool {
		for _, k := range keys {
			if k.Key == "X-io.example.epoch" {
				return k.Value > own
			}
		}
		return false
	}
}

func TestLogin_refused(t *testing.T) {
	for _, test := range []struct {
		name, text string
		hook       func([]iscsi.KeyValue) bool
		want       error
	}{
		{"newer epoch", "X-io.example.epoch=8", epochAbove("7"), block.ErrFenced},
		{"same epoch", "X-io.example.epoch=7", epochAbove("7"), block.ErrFailed},
		{"no key", "", epochAbove("7"), block.ErrFailed},
		{"no hook", "X-io.example.epoch=8", nil, block.ErrFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := loginWith(t, func(o *Options) { o.Fenced = test.hook }, func(p *peer) {
				request, _ := p.loginText()
				p.loginResponse(iscsi.LoginResponse{ITT: request.ITT, Status: iscsi.LoginForbidden}, test.text)
			})
			var refused *LoginError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, [2]byte{2, 2}, [2]byte{refused.Class, refused.Detail})
			require.ErrorIs(t, err, test.want)
			require.NotErrorIs(t, err, block.ErrUnreachable)
			require.Equal(t, test.want == block.ErrFenced, refused.fenced)
			require.Equal(t, test.text != "", len(refused.TextKeys) == 1)
			require.ErrorContains(t, err, "02/02 authorization failure")
		})
	}
}

func TestLogin_timesOutExactly(t *testing.T) {
	for _, script := range []func(p *peer){
		func(*peer) {},
		func(p *peer) { p.loginText() },
		func(p *peer) {
			request, _ := p.loginText()
			p.answer(request, "AuthMethod=None")
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, conn := newPeer(t)
			go script(p)
			start := time.Now()
			_, err := Login(t.Context(), conn, testOptions())
			require.ErrorIs(t, err, block.ErrUnreachable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, testOptions().LoginTimeout, time.Since(start))
		})
	}
}

func TestLogin_endsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, conn := newPeer(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := Login(ctx, conn, testOptions())
		require.ErrorIs(t, err, block.ErrUnreachable)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestLogin_connectionLost(t *testing.T) {
	_, err := loginWith(t, nil, func(p *peer) {
		p.loginText()
		_ = p.conn.Close()
	})
	require.ErrorIs(t, err, block.ErrUnreachable)
	require.NotErrorIs(t, err, block.ErrFailed)
}

func TestLogin_targetBreaksTheProtocol(t *testing.T) {
	for name, script := range map[string]func(p *peer){
		"another auth method": func(p *peer) {
			request, _ := p.loginText()
			p.answer(request, "AuthMethod=CHAP")
		},
		"no auth method": func(p *peer) {
			request, _ := p.loginText()
			p.answer(request, "")
		},
		"another stage": func(p *peer) {
			request, _ := p.loginText()
			p.loginResponse(iscsi.LoginResponse{CSG: iscsi.OperationalNegotiation, ITT: request.ITT},
				"AuthMethod=None")
		},
		"stages skipped": func(p *peer) {
			request, _ := p.loginText()
			p.loginResponse(iscsi.LoginResponse{Transit: true, NSG: iscsi.FullFeaturePhase, ITT: request.ITT},
				"AuthMethod=None")
		},
		"another task tag": func(p *peer) {
			request, _ := p.loginText()
			p.loginResponse(iscsi.LoginResponse{CSG: request.CSG, ITT: 99}, "AuthMethod=None")
		},
		"no text": func(p *peer) {
			request, _ := p.loginText()
			p.answer(request, "nonsense")
		},
		"an answer that was not offered": func(p *peer) {
			request, _ := p.loginText()
			p.answer(request, "AuthMethod=None")
			request, _ = p.loginText()
			p.answer(request, "MaxBurstLength=16777215")
		},
		"an offer with the last answer": func(p *peer) {
			request, _ := p.loginText()
			p.answer(request, "AuthMethod=None")
			request, _ = p.loginText()
			p.answer(request, "TaskReporting=RFC3720")
		},
		"another PDU": func(p *peer) {
			p.loginText()
			p.send(&iscsi.NOPIn{ITT: iscsi.ReservedTag, TTT: iscsi.ReservedTag}, nil)
		},
		"no end": func(p *peer) {
			request, _ := p.loginText()
			p.answer(request, "AuthMethod=None")
			for range maxLoginRounds - 1 {
				request, _ = p.loginText()
				p.loginResponse(iscsi.LoginResponse{CSG: request.CSG, ITT: request.ITT}, "")
			}
		},
		"text without end": func(p *peer) {
			for range loginTextBytes/4096 + 1 {
				request, _ := p.loginText()
				p.loginResponse(iscsi.LoginResponse{Continue: true, CSG: request.CSG, ITT: request.ITT},
					strings.Repeat("x", 4095))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loginWith(t, nil, script)
			require.ErrorIs(t, err, block.ErrFailed)
			require.NotErrorIs(t, err, block.ErrFenced)
			require.NotErrorIs(t, err, block.ErrUnreachable)
		})
	}
}

// chapPeer plays the target's side of CHAP and returns its verdict.
func chapPeer(p *peer, chap *iscsi.CHAPTarget) error {
	request, keys := p.loginText()
	if keys["AuthMethod"] != "CHAP" {
		return errTest
	}
	p.answer(request, "AuthMethod=CHAP")
	for {
		got := p.next(iscsi.OpLoginRequest)
		request, err := iscsi.ParseLoginRequest(&got.BHS)
		if err != nil {
			return err
		}
		pairs, err := iscsi.ParseText(got.data)
		if err != nil {
			return err
		}
		answer, done, err := chap.Step(pairs)
		if err != nil {
			p.loginResponse(iscsi.LoginResponse{ITT: request.ITT, Status: iscsi.LoginAuthFailure}, "")
			return err
		}
		var text []string
		for _, kv := range answer {
			text = append(text, kv.Key+"="+kv.Value)
		}
		p.answer(request, strings.Join(text, " "))
		if done {
			request, _ = p.loginText()
			p.answer(request, "")
			return nil
		}
	}
}

func TestLogin_CHAP(t *testing.T) {
	const secret, mutual = "a secret of sixteen", "another of the sort"
	for _, test := range []struct {
		name      string
		algorithm iscsi.CHAPAlgorithm
		ours      CHAP
		theirs    iscsi.CHAPTarget
		want      error
	}{
		{"one way MD5", iscsi.CHAPMD5, CHAP{User: "u", Secret: secret},
			iscsi.CHAPTarget{User: "u", Secret: secret}, nil},
		{"one way SHA-256", iscsi.CHAPSHA256, CHAP{User: "u", Secret: secret},
			iscsi.CHAPTarget{User: "u", Secret: secret}, nil},
		{"mutual", iscsi.CHAPSHA256, CHAP{User: "u", Secret: secret, MutualUser: "t", MutualSecret: mutual},
			iscsi.CHAPTarget{User: "u", Secret: secret, MutualUser: "t", MutualSecret: mutual}, nil},
		{"wrong secret", iscsi.CHAPSHA256, CHAP{User: "u", Secret: "not it at all, no"},
			iscsi.CHAPTarget{User: "u", Secret: secret}, block.ErrFailed},
		{"an impostor of a target", iscsi.CHAPSHA256,
			CHAP{User: "u", Secret: secret, MutualUser: "t", MutualSecret: mutual},
			iscsi.CHAPTarget{User: "u", Secret: secret, MutualUser: "t", MutualSecret: "a guess, not more"},
			iscsi.ErrAuthFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.ours.Algorithms = []iscsi.CHAPAlgorithm{test.algorithm}
			chap := test.theirs
			chap.Random = rand.Reader
			if test.want == iscsi.ErrAuthFailed { // the peer must not wait for what never comes
				_, err := loginWith(t, func(o *Options) { o.CHAP = test.ours }, func(p *peer) {
					defer func() { _ = p.conn.Close() }()
					chapUntilProof(p, &chap)
				})
				require.ErrorIs(t, err, iscsi.ErrAuthFailed)
				require.ErrorIs(t, err, block.ErrFailed)
				return
			}
			_, err := loginWith(t, func(o *Options) { o.CHAP = test.ours }, func(p *peer) {
				verdict := chapPeer(p, &chap)
				require.Equal(t, test.want == nil, verdict == nil)
			})
			require.ErrorIs(t, err, test.want)
		})
	}
}

// chapUntilProof plays the target until both proofs are exchanged.
func chapUntilProof(p *peer, chap *iscsi.CHAPTarget) {
	request, _ := p.loginText()
	p.answer(request, "AuthMethod=CHAP")
	for range 2 {
		got := p.next(iscsi.OpLoginRequest)
		request, _ := iscsi.ParseLoginRequest(&got.BHS)
		pairs, _ := iscsi.ParseText(got.data)
		answer, _, err := chap.Step(pairs)
		require.NoError(p.t, err)
		var text []string
		for _, kv := range answer {
			text = append(text, kv.Key+"="+kv.Value)
		}
		p.answer(request, strings.Join(text, " "))
	}
}

func TestOptions_validate(t *testing.T) {
	_, conn := newPeer(t)
	_, err := Login(t.Context(), conn, Options{QueueDepth: 5000, CHAP: CHAP{User: "u", MutualSecret: "x"}})
	for _, part := range []string{"target name", "initiator name", "queue depth 5000",
		"a CHAP user and its secret", "mutual CHAP"} {
		require.ErrorContains(t, err, part)
	}
}
