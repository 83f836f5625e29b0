package domain

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/volume"
)

// Driver runs guests of one kind on this host. It is safe for use by many goroutines, but calls for
// one domain must not overlap.
type Driver interface {
	// Start starts the guest. It returns ErrRunning when a guest of this domain runs already: adopt
	// and stop that one first. It blocks until the guest's process exists, not until it has booted.
	Start(ctx context.Context, o Order) (Process, error)
	// Adopt returns the guest of the latest run that was started in dir, running or ended. ErrNone
	// means that none ever was, or that it was forgotten.
	Adopt(ctx context.Context, dir string) (Process, error)
	// Forget removes what dir remembers of an ended guest, except its log.
	Forget(dir string) error
}

// Process is one run of a guest. It is safe for use by many goroutines.
type Process interface {
	// Order returns what the guest was started with.
	Order() Order
	// ID identifies the guest's main process.
	ID() proc.ID
	// KillCommand returns a command that ends the guest where killing its main process is not all that it takes, for
	// when no daemon can: nil otherwise. It succeeds once nothing of the guest is left.
	KillCommand() []string
	// State returns what is known now, without blocking.
	State() State
	// Done is closed when the guest has ended and nothing of it is left.
	Done() <-chan struct{}
	// Stop asks the guest to end, kills it when it has not after grace, and returns when nothing of
	// it is left. Zero grace kills at once. When ctx ends first, it is not killed before its grace is
	// over. An error means that something may still run.
	Stop(ctx context.Context, grace time.Duration) error
	// Release ends this process's watch over the guest, which goes on running: the daemon is about
	// to end, and the next one adopts. Done is not closed any more after it.
	Release()
}

// Order says what to start.
type Order struct {
	Name     string          `json:"name"`
	Driver   string          `json:"driver,omitempty"` // that is to run it
	Run      uint64          `json:"run"`              // grows with every start or move of the domain
	Dir      string          `json:"dir"`              // the domain's own directory for its record and log
	Grace    time.Duration   `json:"grace,omitempty"`  // that it has to end by itself; zero is the host's default
	Machine  guest.Machine   `json:"machine,omitzero"`
	Settings json.RawMessage `json:"settings,omitempty"` // the driver's own
	Salt     string          `json:"salt,omitempty"`     // as in guest.Definition
	Volumes  []Volume        `json:"volumes"`
	// Incoming is the number of the operation by which the guest is taken in from another host, see Receiver; zero for
	// one that boots. Its volumes have their sizes and are plugged in later.
	Incoming uint64 `json:"incoming,omitempty"`
}

// definition returns what of the order was defined.
func (o Order) definition() guest.Definition {
	d := guest.Definition{Name: o.Name, Driver: o.Driver, Machine: o.Machine, Settings: o.Settings,
		Salt: o.Salt}
	for _, v := range o.Volumes {
		d.Volumes = append(d.Volumes, guest.Volume{Name: v.Name, Device: v.Device})
	}
	return d
}

// Volume is one disk of a guest, as its engine serves it.
type Volume struct {
	ID     volume.ID `json:"id"`
	Name   string    `json:"name"`
	Device string    `json:"device,omitempty"` // under which the guest sees it; empty leaves it to the driver
	URL    string    `json:"url"`
	// BoundURL is for a guest that connects again by itself: it is refused once the disk is not the one that it
	// was plugged into. Empty: there is none.
	BoundURL string          `json:"bound_url,omitempty"`
	Epoch    volume.Epoch    `json:"epoch"`
	AttachID volume.AttachID `json:"attach_id"`
	// SizeBytes is told of the volumes of a guest that is taken in.
	SizeBytes int64 `json:"size_bytes,omitempty"`
}

// Phase is where a run stands.
type Phase string

// The phases of a run. The first four are of a guest that may still run.
const (
	PhaseStarting Phase = "starting"
	// PhaseReceiving: its state is taken in from another host. It has not run here yet, and has none of its disks.
	PhaseReceiving Phase = "receiving"
	PhaseRunning   Phase = "running"
	PhaseStopping  Phase = "stopping"
	PhaseStopped   Phase = "stopped" // it ended after Stop asked it to
	PhaseExited    Phase = "exited"  // it ended by itself
	PhaseKilled    Phase = "killed"  // it was killed, or went down with its host
)

// Ended reports whether nothing of the guest is left.
func (p Phase) Ended() bool {
	return p == PhaseStopped || p == PhaseExited || p == PhaseKilled
}

// State is what is known of a run.
type State struct {
	Phase Phase  `json:"phase"`
	Cause string `json:"cause,omitempty"` // how it ended: "exit status 1", "signal: killed" …
	// Sending is the number of the operation by which the guest's state is sent to another host, until it was told to
	// run on here: it may be halted. Zero where there is none.
	Sending uint64 `json:"sending,omitempty"`
	// Paused: it stands still until it is told to go on, see Pauser. Only a guest in PhaseRunning is.
	Paused bool `json:"paused,omitempty"`
}

// The errors of drivers that callers test for.
var (
	// ErrNone means that the directory remembers no guest.
	ErrNone = errors.New("no guest was started here")
	// ErrRunning refuses to start a second guest of a domain.
	ErrRunning = errors.New("a guest of this domain runs already")
)
