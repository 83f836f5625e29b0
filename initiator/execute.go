package initiator

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/scsi"
)

// Execute runs one command of a logical unit and waits for it. in receives the data-in; n says how
// many bytes came. A command that ended with UNIT ATTENTION, which tells of something else, is sent
// again.
//
// The error is that of scsi.ErrorFor, or wraps block.ErrUnreachable if the session ended. If ctx
// ends first it is ctx's, in holds nothing, and the command may still be executed. in and out are
// the caller's again on return.
func (s *Session) Execute(ctx context.Context, lun uint64, cdb scsi.CDB, out, in []byte) (n int, err error) {
	// The session keeps the buffers if ctx ends first, so the caller's are not lent then.
	lent := ctx.Done() == nil
	t := &Task{LUN: lun, CDB: cdb, DataOut: out, DataIn: in}
	if !lent {
		t.DataOut, t.DataIn = append([]byte(nil), out...), make([]byte, len(in))
	}
	answered := make(chan struct{}, 1)
	t.Done = func(*Task) { answered <- struct{}{} }
	pause := time.Duration(0)
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if pause > 0 {
			s.rest(t, pause)
		} else {
			s.Submit(t)
		}
		select {
		case <-answered:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		var again bool
		if pause, again = t.again(try); again {
			continue
		}
		if err := t.Result(); err != nil {
			return 0, fmt.Errorf("%s: command %#02x: %w", s.options.TargetName, cdb[0], err)
		}
		if !lent {
			copy(in, t.DataIn[:t.Received])
		}
		return t.Received, nil
	}
}

const (
	// maxTries bounds how often a command is sent that the target did not execute but asks to see again: it has a few
	// unit attentions to tell of at most, but one that has no room is given some seconds, for it is not broken, and may
	// have something to tell after that. How long it may keep others waiting, who uses it knows.
	maxTries                   = 60
	busyPauseMin, busyPauseMax = time.Millisecond, 100 * time.Millisecond
)

// again reports whether a command that was sent so many times is to be sent once more, and after which pause.
func (t *Task) again(tries int) (pause time.Duration, again bool) {
	if t.Err != nil || !scsi.Retryable(t.Status, t.Sense) || tries >= maxTries {
		return 0, false
	}
	if t.Status == scsi.CheckCondition { // a unit attention, which is told of once
		return 0, true
	}
	return min(busyPauseMin<<min(tries-1, 10), busyPauseMax), true
}
