package scsi

import "context"

// LogicalUnit executes SCSI commands. The iSCSI target hands it whole commands: CDB and all of the
// data-out; it answers with a status, data-in and sense.
//
// Execute may be called by many goroutines at once and may block for I/O. It may be called inline
// on a connection's reader.
type LogicalUnit interface {
	Execute(ctx context.Context, cmd *Command, res *Response)
	// DataOutLen returns how many bytes of data-out the CDB needs, 0 for none, so that the target
	// can fetch them first; an unknown opcode needs none.
	DataOutLen(cdb []byte) int64
}

// Command is one SCSI command of one nexus.
type Command struct {
	CDB     []byte // 16 bytes or more; not kept
	DataOut []byte // the caller's; not kept after Execute returns
	Nexus   Nexus  // who asks
	DataIn  []byte // where data-in goes: len is the initiator's Expected Data Transfer Length
}

// Nexus is an I_T nexus: an initiator port at a target port (SAM-5).
type Nexus struct {
	InitiatorName string
	ISID          [6]byte
	TPGT          uint16
}

// Response is what a command answers. The caller zeroes it before Execute.
type Response struct {
	Status Status // GOOD is zero
	Sense  Sense  // meaningful with CHECK CONDITION
	// InLen is how many bytes the device server wanted to send; DataIn holds min(InLen, len(DataIn)).
	// The caller computes residual underflow and overflow from it.
	InLen int64
}
