package scsi

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
)

// errorRow is one row of the translation between the errors of block and SCSI.
type errorRow struct {
	err    error
	status Status
	sense  senseCode // with CHECK CONDITION
}

// errorTable is the only place where an error becomes a status. The first row that matches counts,
// so the rows stand in order of gravity: an error that wraps both ErrFenced and another is a fence.
//
// Invariant: every error that block declares has exactly one row.
func errorTable() []errorRow {
	return []errorRow{
		{block.ErrFenced, ReservationConflict, 0},
		{block.ErrReadOnly, CheckCondition, senseWriteProtected},
		{block.ErrNoSpace, CheckCondition, senseSpaceAllocation},
		{block.ErrMedium, CheckCondition, senseReadError},
		{block.ErrOutOfRange, CheckCondition, senseLBAOutOfRange},
		{block.ErrMisaligned, CheckCondition, senseInvalidFieldInCDB},
		{block.ErrUnsupported, CheckCondition, senseInvalidOpcode},
		// The outcome is unknown and another try may succeed: that is ABORTED COMMAND.
		{block.ErrUnreachable, CheckCondition, senseCommunicationFailed},
		{context.Canceled, CheckCondition, senseAborted},
		{context.DeadlineExceeded, CheckCondition, senseAborted},
		{block.ErrClosed, CheckCondition, senseNotReady},
		{block.ErrFailed, CheckCondition, senseInternalFailure},
	}
}

// SenseFor says how an error of the block device is reported to the initiator. nil is GOOD. An
// error that nobody foresaw is HARDWARE ERROR, INTERNAL TARGET FAILURE: never success.
func SenseFor(err error) (Status, Sense) {
	if err == nil {
		return Good, Sense{}
	}
	for _, row := range errorTable() {
		if errors.Is(err, row.err) {
			return row.status, row.sense.sense()
		}
	}
	return CheckCondition, senseInternalFailure.sense()
}

// LostData is the sense of a command whose data-out did not all arrive, PROTOCOL SERVICE CRC ERROR
// (RFC 7143 §11.4.7.2): nothing was written, and another try may succeed.
func LostData() Sense { return senseLostData.sense() }

// StatusError is a command that did not end with GOOD, as the initiator sees it. It unwraps to the
// error of package block that says what it means.
type StatusError struct {
	Status Status
	Sense  Sense // with CHECK CONDITION
	Err    error // one of block's errors, never nil
}

// Error returns the meaning and the SCSI text that led to it.
func (e *StatusError) Error() string {
	if e.Status == CheckCondition {
		return fmt.Sprintf("%v: %v: %v", e.Err, e.Status, e.Sense)
	}
	return fmt.Sprintf("%v: %v", e.Err, e.Status)
}

// Unwrap returns the error of package block.
func (e *StatusError) Unwrap() error { return e.Err }

// ErrorFor is the way back: what a status and sense mean to whoever uses the remote device. It
// returns nil for success, else a *StatusError.
//
// Only RESERVATION CONFLICT is a fence. Whatever it does not know is ErrFailed: a device that
// answers so is not to be trusted with further requests.
func ErrorFor(status Status, sense Sense) error {
	switch status {
	case Good, ConditionMet:
		return nil
	case ReservationConflict:
		return &StatusError{Status: status, Err: block.ErrFenced}
	case CheckCondition:
		if sense.Key == RecoveredError || sense.Key == Completed {
			return nil
		}
		return &StatusError{Status: status, Sense: sense, Err: errorForSense(sense)}
	}
	return &StatusError{Status: status, Err: block.ErrFailed}
}

func errorForSense(s Sense) error {
	code := s.code()
	switch {
	case code == senseSpaceAllocation:
		return block.ErrNoSpace
	case s.Key == DataProtect:
		return block.ErrReadOnly
	case s.Key == MediumError:
		return block.ErrMedium
	case code == senseLBAOutOfRange:
		return block.ErrOutOfRange
	case code == senseInvalidOpcode, code == senseInvalidFieldInCDB:
		return block.ErrUnsupported
	case code == senseCommunicationFailed:
		return block.ErrUnreachable
	}
	return block.ErrFailed
}

// Retryable reports whether a command that ended so was not executed and may simply be sent again:
// the unit had something to say first (UNIT ATTENTION) or no room (BUSY, TASK SET FULL).
func Retryable(status Status, sense Sense) bool {
	switch status {
	case Busy, TaskSetFull:
		return true
	case CheckCondition:
		return sense.Key == UnitAttention
	}
	return false
}
