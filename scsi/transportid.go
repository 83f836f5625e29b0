package scsi

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

const (
	transportISCSI   = 0x05 // PROTOCOL IDENTIFIER
	formatPort       = 0x40 // TPID FORMAT 01b: the name of an initiator port
	maxISCSIName     = 223  // bytes (RFC 7143 §4.2.7.1)
	isidSeparator    = ",i,0x"
	transportIDLeast = 20 // ADDITIONAL LENGTH is this at least
	// maxTransportID is the longest TransportID of an iSCSI initiator port, header and padding included.
	maxTransportID = 4 + (maxISCSIName+len(isidSeparator)+12+1+3)/4*4
)

// ValidInitiatorName reports whether a name can be that of an iSCSI node as far as it matters here: UTF-8 without
// blanks and control characters, 1 to 223 bytes (RFC 7143 §4.2.7.1). It is kept and shown in many places.
func ValidInitiatorName(name string) bool {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError }
	return name != "" && len(name) <= maxISCSIName && !strings.ContainsFunc(name, bad)
}

// appendTransportID appends the TransportID of an initiator port (SPC-4 §7.6.4.6): its iSCSI name, the
// separator and its ISID, ended by a zero and padded.
func appendTransportID(b []byte, n Nexus) []byte {
	at := len(b)
	b = append(b, formatPort|transportISCSI, 0, 0, 0)
	b = append(b, n.InitiatorName...)
	b = append(b, isidSeparator...)
	b = hex.AppendEncode(b, n.ISID[:])
	b = append(b, 0)
	for len(b)-at < 4+transportIDLeast || (len(b)-at)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at-4))
	return b
}

// parseTransportID decodes the TransportID at the start of b and returns its size. ok is false for what
// names no iSCSI initiator port: another protocol, or an initiator whose port is left open (TPID FORMAT 00b, which
// would stand for every port that it is known by).
func parseTransportID(b []byte) (n Nexus, size int, ok bool) {
	if len(b) < 4 || b[0] != formatPort|transportISCSI {
		return Nexus{}, 0, false
	}
	additional := int(binary.BigEndian.Uint16(b[2:]))
	size = 4 + additional
	if additional < transportIDLeast || additional%4 != 0 || size > len(b) {
		return Nexus{}, 0, false
	}
	text, _, ended := strings.Cut(string(b[4:size]), "\x00")
	name, isid, separated := strings.Cut(text, isidSeparator)
	if !ended || !separated || !ValidInitiatorName(name) || len(isid) != 2*len(n.ISID) {
		return Nexus{}, 0, false
	}
	if _, err := hex.Decode(n.ISID[:], []byte(isid)); err != nil {
		return Nexus{}, 0, false
	}
	n.InitiatorName = name
	return n, size, true
}
