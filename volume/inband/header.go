package inband

import (
	"encoding/binary"
	"fmt"
)

// Version is the version of every parameter list and answer.
const Version = 1

// headerBytes is the head of every parameter list and answer: version (2), reserved (2), and how
// many bytes follow (4).
const headerBytes = 8

func appendHeader(b []byte, follow int) []byte {
	b = binary.BigEndian.AppendUint16(b, Version)
	b = append(b, 0, 0)
	return binary.BigEndian.AppendUint32(b, uint32(follow))
}

// parseHeader checks the head and returns the bytes that it announces.
func parseHeader(b []byte) ([]byte, error) {
	if len(b) < headerBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrLength, len(b))
	}
	if v := binary.BigEndian.Uint16(b); v != Version {
		return nil, &FieldError{Byte: 0, InParameter: true,
			Reason: fmt.Sprintf("version %d is unknown (want %d)", v, Version)}
	}
	if b[2] != 0 || b[3] != 0 {
		return nil, &FieldError{Byte: 2, InParameter: true, Reason: "reserved"}
	}
	body := b[headerBytes:]
	follow := binary.BigEndian.Uint32(b[4:])
	if uint64(follow) > uint64(len(body)) {
		return nil, fmt.Errorf("%w: %d bytes follow the head, which announces %d", ErrLength, len(body),
			follow)
	}
	return body[:follow], nil
}
