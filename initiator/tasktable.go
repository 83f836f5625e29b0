package initiator

import (
	"time"

	"github.com/holdfast-storage/holdfast/iscsi"
)

// taskQueue is a list of tasks, linked through the tasks themselves.
//
// Invariant: a task is in at most one queue.
type taskQueue struct{ first, last *Task }

func (q *taskQueue) push(t *Task) {
	t.prev, t.next = q.last, nil
	if q.last == nil {
		q.first = t
	} else {
		q.last.next = t
	}
	q.last = t
}

// pop takes the first task out, nil if there is none.
func (q *taskQueue) pop() *Task {
	t := q.first
	if t != nil {
		q.remove(t)
	}
	return t
}

func (q *taskQueue) remove(t *Task) {
	if t.prev == nil {
		q.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		q.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
}

// taskTable holds the tasks that the target has not answered, by Initiator Task Tag. A tag is a
// slot number and, in its upper half, how often the slot was used, so that an answer to a task that
// is over finds nothing.
//
// Invariant: a task is in a slot if and only if it is in inFlight.
type taskTable struct {
	inFlight taskQueue // in the order of sending
	commands int       // of kindCommand in inFlight
	drained  time.Time // when inFlight was last emptied
	slots    []slot
	free     []uint16
}

type slot struct {
	task *Task
	uses uint16
}

// add gives the task a tag.
func (tt *taskTable) add(t *Task, now time.Time) {
	if len(tt.free) == 0 {
		tt.slots = append(tt.slots, slot{})
		tt.free = append(tt.free, uint16(len(tt.slots)-1))
	}
	i := tt.free[len(tt.free)-1]
	tt.free = tt.free[:len(tt.free)-1]
	s := &tt.slots[i]
	s.task, s.uses = t, s.uses+1
	t.itt = uint32(s.uses)<<16 | uint32(i)
	t.since = now
	tt.inFlight.push(t)
	if t.kind == kindCommand {
		tt.commands++
	}
}

// find returns the task with this tag, nil if there is none.
func (tt *taskTable) find(itt uint32) *Task {
	i := int(itt & 0xffff)
	if itt == iscsi.ReservedTag || i >= len(tt.slots) {
		return nil
	}
	if t := tt.slots[i].task; t != nil && t.itt == itt {
		return t
	}
	return nil
}

// remove takes a task out that was answered.
func (tt *taskTable) remove(t *Task) {
	i := uint16(t.itt & 0xffff)
	tt.slots[i].task = nil
	tt.free = append(tt.free, i)
	tt.inFlight.remove(t)
	if t.kind == kindCommand {
		tt.commands--
	}
	if tt.inFlight.first == nil {
		tt.drained = time.Now()
	}
}

// maxUrgent bounds the pings and logouts that are in flight at once: a target need not take more
// than a few immediate PDUs (RFC 7143 §4.2.2.1).
const maxUrgent = 4

// urgents returns how many pings and logouts are in flight.
func (tt *taskTable) urgents() int { return len(tt.slots) - len(tt.free) - tt.commands }

// window is the command window and the status numbers of the session (RFC 7143 §4.2.2).
type window struct {
	depth     int          // our own bound
	cmdSN     iscsi.Serial // of the next command
	maxCmdSN  iscsi.Serial // the last the target takes
	expCmdSN  iscsi.Serial
	expStatSN iscsi.Serial
}

// open reports whether another command may be sent when commands are at the target.
func (w *window) open(commands int) bool {
	return commands < w.depth && w.cmdSN.LessEqual(w.maxCmdSN)
}

// update takes ExpCmdSN and MaxCmdSN of any PDU of the target. Values that make no sense, or are
// older than known ones, are ignored (RFC 7143 §4.2.2.1).
func (w *window) update(expCmdSN, maxCmdSN iscsi.Serial) {
	if maxCmdSN.Less(expCmdSN - 1) {
		return
	}
	if w.expCmdSN.Less(expCmdSN) {
		w.expCmdSN = expCmdSN
	}
	if w.maxCmdSN.Less(maxCmdSN) {
		w.maxCmdSN = maxCmdSN
	}
}

// status takes StatSN of a PDU that carries one of its own.
func (w *window) status(statSN iscsi.Serial) {
	if w.expStatSN.LessEqual(statSN) {
		w.expStatSN = statSN.Next()
	}
}
