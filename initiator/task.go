package initiator

import (
	"time"

	"github.com/holdfast-storage/holdfast/scsi"
)

// Task is one SCSI command. The caller fills in the upper half, submits it, and gets it back with
// the lower half filled in when Done is called. A Task may be used again then: the data path pools
// them. Between Submit and Done the task and its buffers belong to the session.
type Task struct {
	LUN     uint64 // as it stands in the iSCSI header (SAM-5 §4.7)
	CDB     scsi.CDB
	DataOut []byte // what the command sends; not both, DataOut and DataIn
	DataIn  []byte // where what it answers goes
	// Done is called exactly once for each Submit, from any goroutine, possibly before Submit has
	// returned. It must not block; it may submit further tasks.
	Done func(*Task)

	// Err is nil if the target answered; then Status says how. It wraps block.ErrUnreachable if the
	// session ended, so that the outcome of the command is unknown, and block.ErrFailed if the
	// target said that it could not execute it (RFC 7143 §11.4.3).
	Err    error
	Status scsi.Status
	Sense  scsi.Sense
	// Received is how many bytes of DataIn hold data.
	Received int
	// Residual is how many bytes of DataOut or DataIn were not transferred, whether the target said
	// so or not; negative if it would have transferred that many more.
	Residual int64

	kind     taskKind
	tries    int // how often it was sent since Submit
	itt      uint32
	asked    int  // bytes of DataOut that go without being asked for, or were asked for
	sent     int  // bytes of DataOut that went out or are on their way
	busy     int  // parcels through which the writer reads DataOut
	answered bool // completes as soon as it is not busy
	since    time.Time
	prev     *Task // in-flight list: the task that was sent before
	next     *Task // in-flight list, or the waiting list
}

// taskKind tells the session's own exchanges from commands.
type taskKind byte

const (
	kindCommand taskKind = iota
	kindPing
	kindLogout
)

// Result returns what the task came to: its Err, or what its status means (scsi.ErrorFor).
func (t *Task) Result() error {
	if t.Err != nil {
		return t.Err
	}
	return scsi.ErrorFor(t.Status, t.Sense)
}

// start makes a task ready to be used, possibly again.
func (t *Task) start(kind taskKind) {
	t.Err, t.Status, t.Sense, t.Received, t.Residual = nil, 0, scsi.Sense{}, 0, 0
	t.kind, t.itt, t.asked, t.sent, t.busy, t.answered = kind, 0, 0, 0, 0, false
	t.prev, t.next = nil, nil
}
