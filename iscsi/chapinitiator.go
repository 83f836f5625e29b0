package iscsi

import (
	"fmt"
	"io"
)

// CHAPInitiator is the initiator's side of CHAP for one login: pairs in, pairs out. See CHAPTarget
// for the exchange.
type CHAPInitiator struct {
	Algorithms               []CHAPAlgorithm // offered in this order; nil means all, the strongest first
	User, Secret             string          // that this side proves
	MutualUser, MutualSecret string          // that the target must prove; empty MutualSecret = not asked
	Random                   io.Reader       // of challenges; crypto/rand.Reader

	stage     int // steps taken
	algorithm CHAPAlgorithm
	challenge chapChallenge
}

// Start returns the first keys to send, once AuthMethod=CHAP is settled.
func (c *CHAPInitiator) Start() []KeyValue {
	return []KeyValue{{KeyCHAPAlgorithm, chapAlgorithmList(c.offered())}}
}

// Step takes the CHAP keys of one response and returns those of the next request. done means that
// everything that was to be proved is: after the first step of one-way CHAP this side has still to
// send the answer, and the target's success is its login status. An error is a *ProtocolError or
// wraps ErrAuthFailed, unless Random failed; it ends the login.
func (c *CHAPInitiator) Step(pairs []KeyValue) (answer []KeyValue, done bool, err error) {
	c.stage++
	switch c.stage {
	case 1:
		answer, err = c.answer(pairs)
		return answer, err == nil && c.MutualSecret == "", err
	case 2:
		if c.MutualSecret == "" {
			break
		}
		err = verifyProof(pairs, c.algorithm, c.challenge, c.MutualUser, c.MutualSecret)
		return nil, err == nil, err
	}
	return nil, false, protocolErrorf("CHAP", "12.1.3", "keys after the end")
}

func (c *CHAPInitiator) answer(pairs []KeyValue) ([]KeyValue, error) {
	chosen, ok, err := find(pairs, KeyCHAPAlgorithm)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, protocolErrorf("CHAP", "12.1.3", "CHAP_A is missing")
	}
	if c.algorithm, err = chooseAlgorithm(chosen, c.offered()); err != nil {
		return nil, err
	}
	theirs, ok, err := takeChallenge(pairs, nil)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, protocolErrorf("CHAP", "12.1.3", "CHAP_I and CHAP_C are missing")
	}
	answer := proof(c.algorithm, theirs, c.User, c.Secret)
	if c.MutualSecret == "" {
		return answer, nil
	}
	if c.MutualSecret == c.Secret {
		return nil, fmt.Errorf("%w: both directions have the same secret", ErrAuthFailed)
	}
	if c.challenge, err = newChallenge(c.Random); err != nil {
		return nil, err
	}
	return append(answer, c.challenge.pairs()...), nil
}

func (c *CHAPInitiator) offered() []CHAPAlgorithm {
	if c.Algorithms != nil {
		return c.Algorithms
	}
	return DefaultCHAPAlgorithms()
}
