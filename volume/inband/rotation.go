package inband

import (
	"encoding/binary"
	"fmt"
)

// RotationBytes is the length of ROTATE's answer.
const RotationBytes = headerBytes + 8

// AppendRotation appends ROTATE's answer: the generation of the window that ended.
func AppendRotation(b []byte, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(appendHeader(b, 8), generation)
}

// ParseRotation reads ROTATE's answer.
func ParseRotation(b []byte) (uint64, error) {
	body, err := parseHeader(b)
	if err != nil {
		return 0, err
	}
	if len(body) != 8 {
		return 0, fmt.Errorf("%w: a rotation of %d bytes", ErrLength, len(b))
	}
	return binary.BigEndian.Uint64(body), nil
}
