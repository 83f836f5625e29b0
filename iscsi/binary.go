package iscsi

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// encodeBinary returns b as a hexadecimal binary-value (RFC 7143 §6.1).
func encodeBinary(b []byte) string { return "0x" + hex.EncodeToString(b) }

// decodeBinary decodes a binary-value: 0x and hexadecimal digits, or 0b and base64. It refuses
// values that decode to more than limit bytes before it decodes them.
func decodeBinary(s string, limit int) ([]byte, bool) {
	if len(s) < 2 || len(s) > 2+2*limit+4 || s[0] != '0' {
		return nil, false
	}
	digits := s[2:]
	var b []byte
	var err error
	switch s[1] {
	case 'x', 'X':
		if len(digits)%2 != 0 {
			digits = "0" + digits
		}
		b, err = hex.DecodeString(digits)
	case 'b', 'B':
		if strings.ContainsAny(digits, "\r\n") {
			return nil, false
		}
		b, err = base64.StdEncoding.DecodeString(digits)
	default:
		return nil, false
	}
	if err != nil || len(b) == 0 || len(b) > limit {
		return nil, false
	}
	return b, true
}
