package iscsi

import (
	"fmt"
	"io"
)

// CHAPTarget is the target's side of CHAP for one login: pairs in, pairs out.
//
//	initiator: CHAP_A=list             target: CHAP_A, CHAP_I, CHAP_C
//	initiator: CHAP_N, CHAP_R [CHAP_I, CHAP_C]   target: [CHAP_N, CHAP_R]
type CHAPTarget struct {
	Algorithms               []CHAPAlgorithm // accepted; nil means all
	User, Secret             string          // that the initiator must prove
	MutualUser, MutualSecret string          // that the target proves if asked; empty = it cannot
	Random                   io.Reader       // of challenges; crypto/rand.Reader

	algorithm CHAPAlgorithm // zero before the first step
	challenge chapChallenge
	done      bool
}

// Step takes the CHAP keys of one request and returns those of the response. done means that the
// initiator has proved itself. An error is a *ProtocolError or wraps ErrAuthFailed, unless Random
// failed; it ends the login.
func (c *CHAPTarget) Step(pairs []KeyValue) (answer []KeyValue, done bool, err error) {
	switch {
	case c.Secret == "":
		// Without a secret everybody could compute the response.
		return nil, false, fmt.Errorf("%w: no secret to prove", ErrAuthFailed)
	case c.done:
		return nil, false, protocolErrorf("CHAP", "12.1.3", "keys after the end")
	case c.algorithm == 0:
		answer, err = c.begin(pairs)
		return answer, false, err
	}
	answer, err = c.verify(pairs)
	c.done = err == nil
	return answer, c.done, err
}

func (c *CHAPTarget) begin(pairs []KeyValue) ([]KeyValue, error) {
	offer, ok, err := find(pairs, KeyCHAPAlgorithm)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, protocolErrorf("CHAP", "12.1.3", "CHAP_A is missing")
	}
	accepted := c.Algorithms
	if accepted == nil {
		accepted = DefaultCHAPAlgorithms()
	}
	a, err := chooseAlgorithm(offer, accepted)
	if err != nil {
		return nil, err
	}
	if c.challenge, err = newChallenge(c.Random); err != nil {
		return nil, err
	}
	c.algorithm = a
	return append([]KeyValue{{KeyCHAPAlgorithm, chapAlgorithmList([]CHAPAlgorithm{a})}},
		c.challenge.pairs()...), nil
}

func (c *CHAPTarget) verify(pairs []KeyValue) ([]KeyValue, error) {
	if err := verifyProof(pairs, c.algorithm, c.challenge, c.User, c.Secret); err != nil {
		return nil, err
	}
	theirs, mutual, err := takeChallenge(pairs, c.challenge.bytes)
	if err != nil || !mutual {
		return nil, err
	}
	if c.MutualSecret == "" {
		return nil, fmt.Errorf("%w: the target has no secret to prove itself", ErrAuthFailed)
	}
	// With one secret for both directions a response to a reflected challenge would prove
	// anything (RFC 7143 §9.2.1).
	if c.MutualSecret == c.Secret {
		return nil, fmt.Errorf("%w: both directions have the same secret", ErrAuthFailed)
	}
	return proof(c.algorithm, theirs, c.MutualUser, c.MutualSecret), nil
}

// chooseAlgorithm returns the first offered algorithm that is accepted.
func chooseAlgorithm(offer string, accepted []CHAPAlgorithm) (CHAPAlgorithm, error) {
	name, ok := Choose(offer, chapAlgorithmList(accepted))
	if !ok {
		return 0, fmt.Errorf("%w: no common algorithm in CHAP_A=%.40q", ErrAuthFailed, offer)
	}
	for _, a := range accepted {
		if chapAlgorithmList([]CHAPAlgorithm{a}) == name {
			return a, nil
		}
	}
	return 0, ErrAuthFailed
}

// newChallenge draws an identifier and a challenge.
func newChallenge(random io.Reader) (chapChallenge, error) {
	b := make([]byte, 1+chapChallengeBytes)
	if _, err := io.ReadFull(random, b); err != nil {
		return chapChallenge{}, fmt.Errorf("draw a CHAP challenge: %w", err)
	}
	return chapChallenge{identifier: b[0], bytes: b[1:]}, nil
}
