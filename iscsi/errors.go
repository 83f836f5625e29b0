package iscsi

import (
	"errors"
	"fmt"
)

// ProtocolError reports that the peer broke the protocol. Section is that of RFC 7143.
type ProtocolError struct {
	What    string // what was being decoded or negotiated, as "Login Request"
	Problem string
	Section string
}

// Error returns what was wrong and where the rule stands.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("%s: %s (RFC 7143 §%s)", e.What, e.Problem, e.Section)
}

func protocolErrorf(what, section, format string, args ...any) error {
	return &ProtocolError{What: what, Problem: fmt.Sprintf(format, args...), Section: section}
}

// ErrHeaderDigest means that a header did not match its digest. The stream cannot be trusted any
// more: its lengths may be wrong. At error recovery level 0 the connection ends.
var ErrHeaderDigest = errors.New("header digest mismatch")

// ErrDataDigest means that a data segment did not match its digest. The stream itself is still in
// step: the next PDU can be read.
var ErrDataDigest = errors.New("data digest mismatch")

// ErrDataTooLong means that a PDU announced a longer data segment than the receiver declared with
// MaxRecvDataSegmentLength.
var ErrDataTooLong = errors.New("data segment longer than MaxRecvDataSegmentLength")
