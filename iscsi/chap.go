package iscsi

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// The keys of CHAP (RFC 7143 §12.1.3).
const (
	KeyCHAPAlgorithm  = "CHAP_A"
	KeyCHAPIdentifier = "CHAP_I"
	KeyCHAPChallenge  = "CHAP_C"
	KeyCHAPName       = "CHAP_N"
	KeyCHAPResponse   = "CHAP_R"
)

// ErrAuthFailed means that one side could not prove itself, or refused how the other asked it to.
// It never says which part was wrong.
var ErrAuthFailed = errors.New("CHAP authentication failed")

// CHAPAlgorithm is a hash of CHAP by its number in the IANA registry "PPP Authentication Algorithms".
type CHAPAlgorithm byte

// The algorithms (RFC 7143 §12.1.3, RFC 7144 and the registry).
const (
	CHAPMD5     CHAPAlgorithm = 5
	CHAPSHA1    CHAPAlgorithm = 6
	CHAPSHA256  CHAPAlgorithm = 7
	CHAPSHA3256 CHAPAlgorithm = 8
)

// DefaultCHAPAlgorithms returns all known algorithms, the strongest first.
func DefaultCHAPAlgorithms() []CHAPAlgorithm {
	return []CHAPAlgorithm{CHAPSHA3256, CHAPSHA256, CHAPSHA1, CHAPMD5}
}

// newHash returns the algorithm's hash, nil for an unknown one.
func (a CHAPAlgorithm) newHash() hash.Hash {
	switch a {
	case CHAPMD5:
		return md5.New()
	case CHAPSHA1:
		return sha1.New()
	case CHAPSHA256:
		return sha256.New()
	case CHAPSHA3256:
		return sha3.New256()
	}
	return nil
}

const (
	chapChallengeBytes    = 32   // of our own challenges
	chapChallengeMinBytes = 16   // of the peer's; shorter ones repeat or can be tabulated
	chapChallengeMaxBytes = 1024 // RFC 7143 §12.1.3
	chapNameMaxBytes      = 255
)

// Response computes the response to a challenge (RFC 1994 §4.1): the hash of identifier, secret and
// challenge. It returns nil for an unknown algorithm.
func (a CHAPAlgorithm) Response(identifier byte, secret, challenge []byte) []byte {
	h := a.newHash()
	if h == nil {
		return nil
	}
	h.Write([]byte{identifier})
	h.Write(secret)
	h.Write(challenge)
	return h.Sum(nil)
}

// chapAlgorithmList formats algorithms as the value of CHAP_A.
func chapAlgorithmList(algorithms []CHAPAlgorithm) string {
	var names []string
	for _, a := range algorithms {
		names = append(names, strconv.Itoa(int(a)))
	}
	return strings.Join(names, ",")
}

// chapChallenge is a challenge as it went over the wire.
type chapChallenge struct {
	identifier byte
	bytes      []byte
}

func (c chapChallenge) pairs() []KeyValue {
	return []KeyValue{
		{KeyCHAPIdentifier, strconv.Itoa(int(c.identifier))},
		{KeyCHAPChallenge, encodeBinary(c.bytes)},
	}
}

// takeChallenge decodes CHAP_I and CHAP_C. found is false when neither is there. A challenge equal
// to own, which the taker sent itself, is a reflection and refused.
func takeChallenge(pairs []KeyValue, own []byte) (c chapChallenge, found bool, err error) {
	id, okID, err := find(pairs, KeyCHAPIdentifier)
	if err != nil {
		return c, false, err
	}
	text, okC, err := find(pairs, KeyCHAPChallenge)
	if err != nil {
		return c, false, err
	}
	if !okID && !okC {
		return c, false, nil
	}
	n, errID := strconv.ParseUint(id, 0, 8)
	challenge, ok := decodeBinary(text, chapChallengeMaxBytes)
	if !okID || !okC || errID != nil || !ok {
		return c, false, protocolErrorf("CHAP", "12.1.3", "bad CHAP_I or CHAP_C")
	}
	if len(challenge) < chapChallengeMinBytes {
		return c, false, fmt.Errorf("%w: challenge of %d bytes is too short", ErrAuthFailed, len(challenge))
	}
	if bytes.Equal(challenge, own) {
		return c, false, fmt.Errorf("%w: own challenge was reflected", ErrAuthFailed)
	}
	return chapChallenge{byte(n), challenge}, true, nil
}

// verifyProof checks CHAP_N and CHAP_R of the peer in constant time.
func verifyProof(pairs []KeyValue, a CHAPAlgorithm, c chapChallenge, user, secret string) error {
	name, okName, err := find(pairs, KeyCHAPName)
	if err != nil {
		return err
	}
	text, okResponse, err := find(pairs, KeyCHAPResponse)
	if err != nil {
		return err
	}
	want := a.Response(c.identifier, []byte(secret), c.bytes)
	got, ok := decodeBinary(text, len(want))
	if !okName || !okResponse || !ok || len(name) > chapNameMaxBytes {
		return protocolErrorf("CHAP", "12.1.3", "bad CHAP_N or CHAP_R")
	}
	// A hexadecimal value may have lost leading zeroes on its way through a number.
	if len(got) < len(want) {
		got = append(make([]byte, len(want)-len(got)), got...)
	}
	sameUser := subtle.ConstantTimeCompare([]byte(name), []byte(user))
	if !hmac.Equal(got, want) || sameUser != 1 {
		return ErrAuthFailed
	}
	return nil
}

// proof answers a challenge.
func proof(a CHAPAlgorithm, c chapChallenge, user, secret string) []KeyValue {
	return []KeyValue{
		{KeyCHAPName, user},
		{KeyCHAPResponse, encodeBinary(a.Response(c.identifier, []byte(secret), c.bytes))},
	}
}
