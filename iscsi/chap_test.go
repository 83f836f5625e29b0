package iscsi

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The expected values were computed with OpenSSL: printf '\x17secretchallenge' | openssl dgst.
func TestCHAPAlgorithm_response(t *testing.T) {
	for a, want := range map[CHAPAlgorithm]string{
		CHAPMD5:     "8e31442198d4ee60f86323efa06de4a3",
		CHAPSHA1:    "998c5e7e3842f36e3cd56b50a4e325ef32b5b2da",
		CHAPSHA256:  "d32110083382640514c8ffb0dda428d1e24b2d0abbe6e89c7641f5d9758a7e36",
		CHAPSHA3256: "fb8caa179e1ee3862b1b07e1e000909788c169d0e5ce36a79f630817038648a4",
	} {
		require.Equal(t, want, hex.EncodeToString(a.Response(0x17, []byte("secret"), []byte("challenge"))))
	}
	require.Nil(t, CHAPAlgorithm(9).Response(0, nil, nil))
}

func bothSides(a CHAPAlgorithm) (*CHAPInitiator, *CHAPTarget) {
	return &CHAPInitiator{Algorithms: []CHAPAlgorithm{a}, User: "me", Secret: "secret of me",
			MutualUser: "you", MutualSecret: "secret of you", Random: rand.Reader},
		&CHAPTarget{User: "me", Secret: "secret of me", MutualUser: "you",
			MutualSecret: "secret of you", Random: rand.Reader}
}

// run plays the whole exchange and returns the error of each side.
func run(i *CHAPInitiator, target *CHAPTarget) (initiatorErr, targetErr error) {
	challenge, _, err := target.Step(i.Start())
	if err != nil {
		return nil, err
	}
	answer, done, err := i.Step(challenge)
	if err != nil {
		return err, nil
	}
	final, _, err := target.Step(answer)
	if err != nil || done {
		return nil, err
	}
	_, _, err = i.Step(final)
	return err, nil
}

func TestCHAP_eachAlgorithm(t *testing.T) {
	for _, a := range DefaultCHAPAlgorithms() {
		i, target := bothSides(a)
		ierr, terr := run(i, target)
		require.NoError(t, ierr)
		require.NoError(t, terr)
		require.True(t, target.done)
		require.Equal(t, a, target.algorithm)

		i, target = bothSides(a)
		i.MutualSecret = ""
		ierr, terr = run(i, target)
		require.NoError(t, ierr)
		require.NoError(t, terr)
	}
}

func TestCHAP_refused(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(*CHAPInitiator, *CHAPTarget)
		byInitiator bool
	}{
		"wrong secret":          {func(i *CHAPInitiator, _ *CHAPTarget) { i.Secret = "other" }, false},
		"empty secret":          {func(i *CHAPInitiator, _ *CHAPTarget) { i.Secret = "" }, false},
		"wrong user":            {func(i *CHAPInitiator, _ *CHAPTarget) { i.User = "you" }, false},
		"wrong mutual secret":   {func(_ *CHAPInitiator, g *CHAPTarget) { g.MutualSecret = "other" }, true},
		"wrong mutual user":     {func(_ *CHAPInitiator, g *CHAPTarget) { g.MutualUser = "me" }, true},
		"no mutual secret":      {func(_ *CHAPInitiator, g *CHAPTarget) { g.MutualSecret = "" }, false},
		"one secret, target":    {func(_ *CHAPInitiator, g *CHAPTarget) { g.MutualSecret = g.Secret }, false},
		"one secret, initiator": {func(i *CHAPInitiator, _ *CHAPTarget) { i.MutualSecret = i.Secret }, true},
		"no common algorithm": {func(_ *CHAPInitiator, g *CHAPTarget) {
			g.Algorithms = []CHAPAlgorithm{CHAPMD5}
		}, false},
	} {
		i, target := bothSides(CHAPSHA256)
		c.change(i, target)
		ierr, terr := run(i, target)
		if c.byInitiator {
			require.ErrorIs(t, ierr, ErrAuthFailed, name)
		} else {
			require.ErrorIs(t, terr, ErrAuthFailed, name)
			require.False(t, target.done, name)
		}
	}
}

func TestCHAP_reflectedAndShortChallenges(t *testing.T) {
	for name, challenge := range map[string]func(own string) string{
		"reflected": func(own string) string { return own },
		"short":     func(string) string { return "0x" + strings.Repeat("a5", 15) },
	} {
		_, target := bothSides(CHAPSHA256)
		first, _, err := target.Step(pairs("CHAP_A=7"))
		require.NoError(t, err)
		own, _, _ := find(first, KeyCHAPChallenge)
		answer := proof(CHAPSHA256, target.challenge, "me", "secret of me")
		answer = append(answer, KeyValue{KeyCHAPIdentifier, "1"},
			KeyValue{KeyCHAPChallenge, challenge(own)})
		_, done, err := target.Step(answer)
		require.ErrorIs(t, err, ErrAuthFailed, name)
		require.False(t, done)
	}
}

func TestCHAP_malformed(t *testing.T) {
	good := "CHAP_N=me CHAP_R=0x" + strings.Repeat("00", 32)
	for _, c := range []string{
		"", "CHAP_N=me", "CHAP_R=0x00", good + " CHAP_N=me", "CHAP_N=me CHAP_R=12",
		"CHAP_N=me CHAP_R=0x", "CHAP_N=me CHAP_R=0xzz",
		"CHAP_N=me CHAP_R=0x" + strings.Repeat("00", 33),
	} {
		_, target := bothSides(CHAPSHA256)
		_, _, err := target.Step(pairs("CHAP_A=7"))
		require.NoError(t, err)
		_, done, err := target.Step(pairs(c))
		var broken *ProtocolError
		require.ErrorAs(t, err, &broken, c)
		require.False(t, done)
	}
	_, target := bothSides(CHAPSHA256)
	_, _, err := target.Step(pairs("CHAP_N=me"))
	require.Error(t, err, "CHAP_A comes first")
}

func TestCHAP_mutualKeysAreChecked(t *testing.T) {
	for _, extra := range []string{"CHAP_I=1", "CHAP_I=256 CHAP_C=0x" + strings.Repeat("ab", 16),
		"CHAP_I=1 CHAP_C=0x" + strings.Repeat("ab", 1025)} {
		_, target := bothSides(CHAPSHA256)
		_, _, err := target.Step(pairs("CHAP_A=7"))
		require.NoError(t, err)
		answer := append(proof(CHAPSHA256, target.challenge, "me", "secret of me"), pairs(extra)...)
		_, done, err := target.Step(answer)
		require.Error(t, err, extra)
		require.False(t, done)
	}
}

func TestBinary(t *testing.T) {
	for in, want := range map[string]string{
		"0x0aFF": "0aff", "0Xf": "0f", "0bAQID": "010203", "0BAQ==": "01",
	} {
		got, ok := decodeBinary(in, 3)
		require.True(t, ok, in)
		require.Equal(t, want, hex.EncodeToString(got), in)
	}
	for _, bad := range []string{"", "0", "0x", "0b", "1x00", "0x01020304", "0bAQIDBA==", "0xgg", "0b*"} {
		_, ok := decodeBinary(bad, 3)
		require.False(t, ok, bad)
	}
	require.Equal(t, "0x00ff", encodeBinary([]byte{0, 255}))
}

func FuzzCHAP(f *testing.F) {
	f.Add([]byte("CHAP_A=5,7\x00"), []byte("CHAP_N=me\x00CHAP_R=0x00\x00CHAP_I=1\x00CHAP_C=0bAAAA\x00"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		one, err1 := ParseText(first)
		two, err2 := ParseText(second)
		if err1 != nil || err2 != nil {
			return
		}
		i, target := bothSides(CHAPSHA256)
		if _, done, err := target.Step(one); done || err != nil {
			require.False(t, done)
			return
		}
		// The challenge is random, so no fuzzed text can hold the response to it.
		_, done, err := target.Step(two)
		require.Error(t, err)
		require.False(t, done)
		_, _, _ = i.Step(one)
		_, _, _ = i.Step(two)
	})
}
