package initiator

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-storage/holdfast/block/plug"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/netio"
)

// CHAP holds what both sides prove themselves with. It is never logged.
type CHAP struct {
	User, Secret             string                // that this side proves; empty User = no authentication
	MutualUser, MutualSecret string                // that the target must prove; empty = it need not
	Algorithms               []iscsi.CHAPAlgorithm // offered in this order; nil = all, strongest first
}

// Options configure a session.
type Options struct {
	TargetName    string     // required
	InitiatorName string     // required
	ISID          iscsi.ISID // with InitiatorName, says whose session this reinstates
	CHAP          CHAP

	HeaderDigest, DataDigest bool // ask for CRC32C; the target may decline

	// QueueDepth bounds how many commands are at the target at once; the target's own window counts
	// if it is smaller. More are queued here. 0 = 128, at most 4096.
	QueueDepth int
	// LoginTimeout bounds the login; 0 = 10 s.
	LoginTimeout time.Duration
	// Deadline is how long the oldest command may stay unanswered before the session is declared
	// dead; 0 = 30 s. It is checked with a precision of the clock, never early.
	Deadline time.Duration

	// Plug is held while a burst of answers is handled, and while somebody holds it nothing is sent; sessions and
	// exports that share requests share it. nil = the session has one of its own.
	Plug *plug.Plug

	// Waits bounds the sessions that wait for answers in the kernel; nil = none does.
	Waits *netio.Waits

	// Fenced looks at the text keys of a refused login and reports whether they say that a newer
	// epoch holds the target; the *LoginError then wraps block.ErrFenced. nil = they never do.
	Fenced func(keys []iscsi.KeyValue) bool
	// OnDown is called once, when the session has ended and every task of it has completed. The
	// error wraps block.ErrUnreachable, or is ErrLoggedOut after Logout. It is not called when
	// Login fails. May be nil.
	OnDown func(err error)

	Log *slog.Logger // nil = none
}

// The bounds and defaults of Options.
const (
	defaultQueueDepth   = 128
	maxQueueDepth       = 4096
	defaultLoginTimeout = 10 * time.Second
	defaultDeadline     = 30 * time.Second
	maxNameBytes        = 223 // RFC 7143 §4.2.7.1
)

func (o Options) withDefaults() Options {
	if o.QueueDepth == 0 {
		o.QueueDepth = defaultQueueDepth
	}
	if o.LoginTimeout == 0 {
		o.LoginTimeout = defaultLoginTimeout
	}
	if o.Deadline == 0 {
		o.Deadline = defaultDeadline
	}
	if o.Plug == nil {
		o.Plug = &plug.Plug{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate returns every fault of the options, joined.
func (o Options) validate() error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, name := range []struct{ what, value string }{
		{"target name", o.TargetName}, {"initiator name", o.InitiatorName},
	} {
		if name.value == "" || len(name.value) > maxNameBytes {
			bad("%s %q: want 1 to %d bytes", name.what, name.value, maxNameBytes)
		}
	}
	if o.QueueDepth < 1 || o.QueueDepth > maxQueueDepth {
		bad("queue depth %d: want 1 to %d", o.QueueDepth, maxQueueDepth)
	}
	if o.LoginTimeout < 0 || o.Deadline < 0 {
		bad("login timeout %v and deadline %v must not be negative", o.LoginTimeout, o.Deadline)
	}
	if (o.CHAP.User == "") != (o.CHAP.Secret == "") {
		bad("a CHAP user and its secret come together")
	}
	if o.CHAP.MutualSecret != "" && (o.CHAP.Secret == "" || o.CHAP.MutualUser == "") {
		bad("mutual CHAP needs a mutual user, and a user and secret of our own")
	}
	return errors.Join(faults...)
}
