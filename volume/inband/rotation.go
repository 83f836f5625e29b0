package inband

import (
	"encoding/binary"
	"fmt"
)

// RotationBytes is the length of ROTATE's answer.
const RotationBytes = headerBytes + 16

// AppendRotation appends ROTATE's answer: the generation of the window that ended, and the progress
// of the label that is durable.
func AppendRotation(b []byte, generation, seq uint64) []byte {
	b = binary.BigEndian.AppendUint64(appendHeader(b, RotationBytes-headerBytes), generation)
	return binary.BigEndian.AppendUint64(b, seq)
}

// ParseRotation reads ROTATE's answer.
func ParseRotation(b []byte) (generation, seq uint64, err error) {
	body, err := parseHeader(b)
	if err != nil {
		return 0, 0, err
	}
	if len(body) != RotationBytes-headerBytes {
		return 0, 0, fmt.Errorf("%w: a rotation of %d bytes", ErrLength, len(b))
	}
	return binary.BigEndian.Uint64(body), binary.BigEndian.Uint64(body[8:]), nil
}
