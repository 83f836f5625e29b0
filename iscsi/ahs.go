package iscsi

import "encoding/binary"

const (
	ahsExtendedCDB = 1
)

// AppendExtendedCDB appends the Additional Header Segment that carries the bytes of a CDB after the
// sixteenth (RFC 7143 §11.2.2.3), padded to a multiple of four.
func AppendExtendedCDB(b, rest []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)+1))
	b = append(b, ahsExtendedCDB, 0)
	b = append(b, rest...)
	return append(b, padding[:padLen(len(rest))]...)
}

// ExtendedCDB returns the bytes of the CDB after the sixteenth, nil if there are none. The slice
// points into ahs. Segments of other types are passed over.
func ExtendedCDB(ahs []byte) ([]byte, error) {
	for len(ahs) > 0 {
		if len(ahs) < 4 {
			return nil, protocolErrorf("AHS", "11.2.2", "%d bytes left", len(ahs))
		}
		// AHSLength counts from the byte after AHSType; AHSType's own segment header is 3 bytes.
		n := int(binary.BigEndian.Uint16(ahs)) + 3
		padded := n + padLen(n)
		if padded > len(ahs) {
			return nil, protocolErrorf("AHS", "11.2.2.1", "AHSLength %d in %d bytes", n-3, len(ahs))
		}
		if ahs[2]&0x3f == ahsExtendedCDB {
			if n < 5 {
				return nil, protocolErrorf("AHS", "11.2.2.3", "empty extended CDB")
			}
			return ahs[4:n], nil
		}
		ahs = ahs[padded:]
	}
	return nil, nil
}
