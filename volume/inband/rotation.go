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

// ProgressBytes is the length of the answers to STABLE and DETACH.
const ProgressBytes = headerBytes + 8

// AppendProgress appends the answer to STABLE and DETACH: the progress of the label that is durable now.
func AppendProgress(b []byte, progress uint64) []byte {
	return binary.BigEndian.AppendUint64(appendHeader(b, ProgressBytes-headerBytes), progress)
}

// ParseProgress reads the answer to STABLE and DETACH.
func ParseProgress(b []byte) (uint64, error) {
	body, err := parseHeader(b)
	if err != nil {
		return 0, err
	}
	if len(body) != ProgressBytes-headerBytes {
		return 0, fmt.Errorf("%w: a progress of %d bytes", ErrLength, len(b))
	}
	return binary.BigEndian.Uint64(body), nil
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
