package domain

import "context"

// A Receiver is a driver that can take in a guest which runs on another host.
type Receiver interface {
	// Receive starts what the state of a guest is sent to; o is Incoming. The process, a Migrant, is in
	// PhaseReceiving and listens at ReceiveSocket. It does not run before it is told to, and has no disk before that:
	// what it would write until then it could write nowhere. Errors are those of Start.
	Receive(ctx context.Context, o Order) (Process, error)
}

// A Migrant is a guest whose state can be sent to another host, or that is taken in from one.
type Migrant interface {
	// Send begins to send the guest's state to the unix socket at path while the guest runs on, by an operation of this
	// number, which is remembered first. Towards its end the guest is halted, and what it wrote is flushed. It returns
	// before that; Sending tells how it goes. A guest that does not run is refused.
	Send(ctx context.Context, operation uint64, path string) error
	// Sending returns how far the latest Send is.
	Sending(ctx context.Context) (Sending, error)
	// Resume ends the sending, has the guest run on and forgets the operation. It is for the host that the guest was to
	// leave, once it is certain that it runs nowhere else, and never will. What was not halted by a sending is left
	// as it is.
	Resume(ctx context.Context) error
	// Loaded reports whether a guest that is taken in is here as a whole.
	Loaded(ctx context.Context) (bool, error)
	// Plug gives a guest that is here as a whole its disks, in place of what held their places. It is remembered that
	// it has them before it runs. Plugged again, it keeps those that it has.
	Plug(ctx context.Context, volumes []Volume) error
	// Run has a guest run that was plugged in: from now on it is in PhaseRunning.
	Run(ctx context.Context) error
}

// Sending is how far the sending of a guest's state is.
type Sending string

// How far a sending can be.
const (
	SendingNone Sending = "none"   // none was begun
	SendingRuns Sending = "runs"   // the guest may run
	SendingDone Sending = "done"   // all was sent; the guest is halted, and nothing but Resume has it run again
	SendingOver Sending = "failed" // it failed or was ended; the guest runs on
)
