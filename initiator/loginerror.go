package initiator

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/iscsi"
)

// LoginError is a login that the target refused. It wraps block.ErrFenced if Options.Fenced saw in
// its text keys that a newer epoch holds the target, else block.ErrFailed.
type LoginError struct {
	TargetName    string
	Class, Detail byte             // RFC 7143 §11.13.5
	TextKeys      []iscsi.KeyValue // that came with the refusal
	fenced        bool
}

// Error names the target and the status.
func (e *LoginError) Error() string {
	status := iscsi.LoginStatus(uint16(e.Class)<<8 | uint16(e.Detail))
	return fmt.Sprintf("login to %s refused: %v: %v", e.TargetName, status, e.Unwrap())
}

// Unwrap returns block.ErrFenced or block.ErrFailed.
func (e *LoginError) Unwrap() error {
	if e.fenced {
		return block.ErrFenced
	}
	return block.ErrFailed
}
