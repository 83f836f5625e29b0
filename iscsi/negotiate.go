package iscsi

import "strings"

// Role is the end of the session that a state machine plays.
type Role byte

// The roles.
const (
	Initiator Role = iota
	Target
)

// Negotiator settles the operational keys of one login (RFC 7143 §6.2, §13). It does no I/O: text
// keys in, text keys out. Both roles use it.
//
// An initiator sends what Offer returns, hands every answer to Receive and sends what that returns.
// A target only hands what it gets to Receive and sends the answers, with its own Offer once. When
// both sides have agreed to leave the stage, and Pending is empty, Params holds the outcome.
//
// Invariant: a key is settled at most once; a second offer of it is a protocol error.
// Invariant: a key that nobody negotiated has the default of RFC 7143 §13.
type Negotiator struct {
	role      Role
	discovery bool
	own       map[string]string // what this side wants; for a list, all it accepts
	offered   map[string]string // sent and not answered yet
	declared  map[string]bool   // declarations that this side has sent
	settled   map[string]string // outcomes; for declarative keys what the peer declared
	unknown   []KeyValue
}

// NewNegotiator returns a negotiator for one login. discovery makes it treat the keys of normal
// sessions as irrelevant.
func NewNegotiator(role Role, discovery bool, p Preferences) *Negotiator {
	return &Negotiator{
		role: role, discovery: discovery, own: p.values(),
		offered: map[string]string{}, declared: map[string]bool{}, settled: map[string]string{},
	}
}

// SetDiscovery says that the session is a discovery session, as soon as a target has learnt it.
func (n *Negotiator) SetDiscovery() { n.discovery = true }

// Offer returns the keys that this side brings up itself: an initiator all of its preferences, a
// target only what it declares. Later calls return nothing.
func (n *Negotiator) Offer() []KeyValue {
	var out []KeyValue
	for _, s := range keyTable() {
		value, wanted := n.own[s.name]
		if !wanted || n.discovery && s.normalOnly {
			continue
		}
		if s.kind == declaredNumber || s.kind == declarative {
			if !n.declared[s.name] {
				n.declared[s.name] = true
				out = append(out, KeyValue{s.name, value})
			}
			continue
		}
		_, settled := n.settled[s.name]
		_, offered := n.offered[s.name]
		if n.role == Initiator && !settled && !offered {
			n.offered[s.name] = value
			out = append(out, KeyValue{s.name, value})
		}
	}
	return out
}

// Pending returns the keys that this side offered and the peer has not answered, in no order.
func (n *Negotiator) Pending() []string {
	var keys []string
	for k := range n.offered {
		keys = append(keys, k)
	}
	return keys
}

// Unknown returns the pairs with keys that RFC 7143 does not define and the target sent, as vendor
// keys in a Login Response, in their order.
func (n *Negotiator) Unknown() []KeyValue { return n.unknown }

// Declared returns what the peer declared for a declarative key, as TargetName.
func (n *Negotiator) Declared(key string) (string, bool) {
	v, ok := n.settled[key]
	return v, ok
}

// Receive takes pairs of the peer and returns the answers to them. An error is a *ProtocolError
// and ends the login.
func (n *Negotiator) Receive(pairs []KeyValue) ([]KeyValue, error) {
	var answers []KeyValue
	for _, p := range pairs {
		answer, err := n.receive(p)
		if err != nil {
			return nil, err
		}
		if answer != "" {
			answers = append(answers, KeyValue{p.Key, answer})
		}
	}
	return answers, nil
}

func (n *Negotiator) receive(p KeyValue) (answer string, err error) {
	s := specOf(p.Key)
	if s == nil {
		return n.receiveUnknown(p)
	}
	if _, done := n.settled[p.Key]; done {
		return "", protocolErrorf("negotiation", "6.3", "%s is negotiated twice", p.Key)
	}
	if offer, mine := n.offered[p.Key]; mine {
		delete(n.offered, p.Key)
		return "", n.receiveAnswer(s, offer, p.Value)
	}
	if s.sender == byInitiator && n.role == Initiator || s.sender == byTarget && n.role == Target {
		return "", protocolErrorf("negotiation", "13", "%s is not the peer's to send", p.Key)
	}
	if n.discovery && s.normalOnly {
		n.settled[p.Key] = s.initial
		return Irrelevant, nil
	}
	switch s.kind {
	case declarative:
		n.settled[p.Key] = p.Value
		return "", nil
	case declaredNumber:
		if _, ok := s.number(p.Value); !ok {
			return "", protocolErrorf("negotiation", "13", "%s=%.40q", p.Key, p.Value)
		}
		n.settled[p.Key] = p.Value
		return "", nil
	}
	outcome, ok := s.settle(p.Value, n.ownValue(s))
	if !ok {
		n.settled[p.Key] = s.initial
		return RejectValue, nil
	}
	n.settled[p.Key] = outcome
	return outcome, nil
}

func (n *Negotiator) ownValue(s *keySpec) string {
	if v, ok := n.own[s.name]; ok {
		return v
	}
	return s.initial
}

// receiveUnknown answers a key that is not in the table. An answer is never answered.
func (n *Negotiator) receiveUnknown(p KeyValue) (string, error) {
	if n.role == Initiator {
		n.unknown = append(n.unknown, p)
	}
	if p.Value == NotUnderstood || n.role == Initiator && strings.HasPrefix(p.Key, "X-") {
		return "", nil
	}
	return NotUnderstood, nil
}

// receiveAnswer settles a key that this side offered.
func (n *Negotiator) receiveAnswer(s *keySpec, offer, answer string) error {
	switch answer {
	case NotUnderstood, Irrelevant, RejectValue:
		n.settled[s.name] = s.initial
		return nil
	}
	if !s.answers(offer, answer) {
		return protocolErrorf("negotiation", "6.2", "%s=%.40q answers the offer %q", s.name, answer, offer)
	}
	n.settled[s.name] = answer
	return nil
}
