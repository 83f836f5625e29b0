package initiator

import (
	"time"

	"github.com/holdfast-storage/holdfast/scsi"
)

const (
	// maxTries bounds how often a command is sent that the target did not execute but asks to see again: it has a few
	// unit attentions to tell of at most, but one that has no room is given some seconds, for it is not broken, and may
	// have something to tell after that. How long it may keep others waiting, who uses it knows.
	maxTries                   = 60
	busyPauseMin, busyPauseMax = time.Millisecond, 100 * time.Millisecond
)

// again reports whether a command is to be sent once more, and after which pause.
func (t *Task) again() (pause time.Duration, again bool) {
	if t.Err != nil || !scsi.Retryable(t.Status, t.Sense) || t.tries >= maxTries {
		return 0, false
	}
	if t.Status == scsi.CheckCondition { // a unit attention, which is told of once
		return 0, true
	}
	return min(busyPauseMin<<min(t.tries-1, 10), busyPauseMax), true
}

// Resubmit sends a task once more whose command the target did not execute but asks to see again: at once after a unit
// attention, and after a pause after BUSY. Done calls it, or whoever Done tells; it reports whether it did, and the
// task is the session's again then. It does not if the task came to anything else, or was sent often enough. Like
// Submit it does not block.
func (s *Session) Resubmit(t *Task) bool {
	pause, again := t.again()
	switch {
	case !again:
		return false
	case pause > 0:
		s.rest(t, pause)
	default:
		s.submit(t)
	}
	return true
}

// rest submits a command again that was answered BUSY, after a pause: who had no room has none at once.
func (s *Session) rest(t *Task, pause time.Duration) {
	t.start(kindCommand)
	t.tries++
	s.mu.Lock()
	if s.cause != nil {
		t.Err = s.cause
		s.mu.Unlock()
		t.Done(t)
		return
	}
	s.resting.push(t)
	s.mu.Unlock()
	time.AfterFunc(pause, func() { s.rested(t) })
}

// rested queues a command whose pause is over. When the session ends it may be over before that, and be another one.
func (s *Session) rested(t *Task) {
	s.mu.Lock()
	if s.cause != nil {
		s.mu.Unlock()
		return
	}
	s.resting.remove(t)
	t.since = time.Now()
	s.waiting.push(t)
	s.deadline.arm()
	s.mu.Unlock()
	s.signal()
}
