package iscsi

import (
	"strconv"
	"strings"
)

// Preferences are what one side wants of the operational keys (RFC 7143 §13). Lengths are in bytes,
// times in seconds. A zero field leaves the key to its default, except for the booleans.
//
// MaxConnections=1, ErrorRecoveryLevel=0, DataPDUInOrder=Yes and DataSequenceInOrder=Yes are fixed.
type Preferences struct {
	HeaderDigest, DataDigest []string // DigestNone, DigestCRC32C; the preferred first, empty is None
	MaxRecvDataSegmentLength uint32   // 512 to 2^24-1; what this side can take
	MaxBurstLength           uint32   // 512 to 2^24-1
	FirstBurstLength         uint32   // 512 to 2^24-1
	MaxOutstandingR2T        uint32   // 1 to 65535
	InitialR2T               bool     // wants no unsolicited Data-Out
	ImmediateData            bool     // wants immediate data
	DefaultTime2Wait         uint32   // 0 to 3600
	DefaultTime2Retain       uint32   // 0 to 3600; zero is offered as zero
}

// Params are the operational keys as both sides agreed on them. Lengths are in bytes.
type Params struct {
	Digests                  Digests
	MaxRecvDataSegmentLength uint32 // what this side declared
	MaxSendDataSegmentLength uint32 // what the peer declared
	MaxBurstLength           uint32
	FirstBurstLength         uint32 // at most MaxBurstLength
	MaxOutstandingR2T        uint32
	InitialR2T               bool
	ImmediateData            bool
	DefaultTime2Wait         uint32 // seconds
	DefaultTime2Retain       uint32 // seconds
}

// values returns the preferences as text keys.
func (p Preferences) values() map[string]string {
	v := map[string]string{
		KeyHeaderDigest:        digestList(p.HeaderDigest),
		KeyDataDigest:          digestList(p.DataDigest),
		KeyInitialR2T:          yesNo(p.InitialR2T),
		KeyImmediateData:       yesNo(p.ImmediateData),
		KeyMaxConnections:      "1",
		KeyErrorRecoveryLevel:  "0",
		KeyDataPDUInOrder:      Yes,
		KeyDataSequenceInOrder: Yes,
		KeyDefaultTime2Wait:    strconv.Itoa(int(p.DefaultTime2Wait)),
		KeyDefaultTime2Retain:  strconv.Itoa(int(p.DefaultTime2Retain)),
	}
	for key, n := range map[string]uint32{
		KeyMaxRecvDataSegmentLength: p.MaxRecvDataSegmentLength,
		KeyMaxBurstLength:           p.MaxBurstLength,
		KeyFirstBurstLength:         p.FirstBurstLength,
		KeyMaxOutstandingR2T:        p.MaxOutstandingR2T,
	} {
		if n != 0 {
			v[key] = strconv.FormatUint(uint64(n), 10)
		}
	}
	return v
}

// Params returns the outcome. It may be called when the login has succeeded.
func (n *Negotiator) Params() Params {
	p := Params{
		Digests: Digests{
			Header: n.outcome(KeyHeaderDigest) == DigestCRC32C,
			Data:   n.outcome(KeyDataDigest) == DigestCRC32C,
		},
		MaxRecvDataSegmentLength: n.ownNumber(KeyMaxRecvDataSegmentLength),
		MaxSendDataSegmentLength: n.outcomeNumber(KeyMaxRecvDataSegmentLength),
		MaxBurstLength:           n.outcomeNumber(KeyMaxBurstLength),
		FirstBurstLength:         n.outcomeNumber(KeyFirstBurstLength),
		MaxOutstandingR2T:        n.outcomeNumber(KeyMaxOutstandingR2T),
		InitialR2T:               n.outcome(KeyInitialR2T) == Yes,
		ImmediateData:            n.outcome(KeyImmediateData) == Yes,
		DefaultTime2Wait:         n.outcomeNumber(KeyDefaultTime2Wait),
		DefaultTime2Retain:       n.outcomeNumber(KeyDefaultTime2Retain),
	}
	// Each is negotiated alone, so the rule between them (§13.14) is applied to the outcome.
	p.FirstBurstLength = min(p.FirstBurstLength, p.MaxBurstLength)
	return p
}

func (n *Negotiator) outcome(key string) string {
	if v, ok := n.settled[key]; ok {
		return v
	}
	return specOf(key).initial
}

func (n *Negotiator) outcomeNumber(key string) uint32 {
	s := specOf(key)
	if v, ok := s.number(n.outcome(key)); ok {
		return v
	}
	v, _ := s.number(s.initial)
	return v
}

// ownNumber returns what this side declared, the default if it did not.
func (n *Negotiator) ownNumber(key string) uint32 {
	s := specOf(key)
	if n.declared[key] {
		if v, ok := s.number(n.own[key]); ok {
			return v
		}
	}
	v, _ := s.number(s.initial)
	return v
}

func digestList(names []string) string {
	if len(names) == 0 {
		return DigestNone
	}
	return strings.Join(names, ",")
}

func yesNo(v bool) string {
	if v {
		return Yes
	}
	return No
}
