package target

import (
	"context"
	"net"

	"github.com/holdfast-storage/holdfast/scsi"
)

// Admission decides which initiators may log in to which targets, and what they find there.
// The target asks it; it never imports who answers.
type Admission interface {
	// Credentials returns how an initiator must prove itself to log in to a target. Unknown
	// targets are a *Refusal. It has no side effect: nobody has proved anything yet.
	Credentials(ctx context.Context, a Attempt) (Credentials, error)

	// Admit is called once the initiator has proved itself (or needs no proof), before the final
	// Login Response is sent. It may block until older sessions have ended and drained. An error
	// that is a *Refusal refuses the login with its status and text keys.
	Admit(ctx context.Context, a Attempt, s SessionControl) (Grant, error)

	// Targets lists the target names that SendTargets may show to this initiator.
	Targets(initiatorName string) []string
}

// Attempt is a login as far as it is known.
type Attempt struct {
	TargetName    string
	InitiatorName string
	ISID          [6]byte
	TSIH          uint16 // zero asks for a new session, also when it reinstates an old one
	Local, Remote net.Addr
}

// Credentials say how CHAP is done (RFC 7143 §12.1.3). The zero value asks for no authentication.
type Credentials struct {
	User, Secret             string // that the initiator must prove; empty User = AuthMethod None is allowed
	MutualUser, MutualSecret string // that the target proves if the initiator asks; empty = it cannot
}

// SessionControl is how the admitting side ends a session that it admitted.
type SessionControl interface {
	// Kill ends the session at once: its connections are reset and none of its commands that has
	// not reached the device will. It does not wait for those that have. Safe to call twice.
	Kill(reason string)
}

// Grant is what an admitted session may use.
type Grant struct {
	LUNs map[uint64]scsi.LogicalUnit // by LUN number
	// TextKeys are sent with the final Login Response.
	TextKeys [][2]string
	// Closed is called once when the session has ended and no command of it is running any more.
	Closed func()
}

// Refusal refuses a login (RFC 7143 §11.13.5).
type Refusal struct {
	Class, Detail byte        // status class and detail, as 0x02, 0x02
	Reason        string      // for the log
	TextKeys      [][2]string // sent with the Login Response
}

// Error returns the reason.
func (r *Refusal) Error() string { return r.Reason }
