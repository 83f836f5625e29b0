package scsi

import "context"

// LogicalUnit executes SCSI commands. The iSCSI target hands it whole commands: CDB and all of the
// data-out; it answers with a status, data-in and sense.
//
// Every method may be called by many goroutines at once. A CDB is never kept and never changed.
type LogicalUnit interface {
	// Execute runs one command and may block for I/O. It may be called inline on a connection's
	// reader. It never panics on what an initiator sent.
	Execute(ctx context.Context, cmd *Command, res *Response)
	// DataOutLen returns how many bytes of data-out the CDB needs, 0 for none, so that the target
	// can fetch them first. A command that is refused whatever its data (an unknown opcode, a
	// range outside the device, a transfer that is too long) needs none, so the answer is never
	// more than the unit's MAXIMUM TRANSFER LENGTH. Does not block.
	DataOutLen(cdb []byte) int64
	// DataInLen returns the most bytes of data-in that the CDB can produce, so that the target
	// needs no larger buffer: it gives Execute min(this, Expected Data Transfer Length) bytes.
	// It is an upper bound; Response.InLen is exact. A command that is refused needs none. Does
	// not block.
	DataInLen(cdb []byte) int64
}

// Command is one SCSI command of one nexus.
type Command struct {
	CDB []byte // 16 bytes or more; not kept
	// DataOut is what the initiator sent, min(DataOutLen, Expected Data Transfer Length) bytes of
	// it. It is the caller's and not kept after Execute returns.
	DataOut []byte
	// ExpectedOut is the Expected Data Transfer Length of data-out, in bytes: more than DataOut holds
	// if the initiator would send more than the CDB needs.
	ExpectedOut int64
	Nexus       Nexus // who asks
	// Tasks ends commands of others for PREEMPT AND ABORT; nil = there are no others.
	Tasks TaskAborter
	// DataIn is where data-in goes: min(DataInLen, Expected Data Transfer Length) bytes. It is the
	// caller's and not kept after Execute returns.
	DataIn []byte
}

// aborted reports whether somebody has aborted the command.
func (c *Command) aborted() bool { return c.Tasks != nil && c.Tasks.Aborted() }

// bringsExactly reports whether the initiator's data-out is this long, neither less nor more. It
// is asked where the wrong length shows that initiator and unit do not mean the same blocks.
func (c *Command) bringsExactly(bytes int64) bool {
	return int64(len(c.DataOut)) == bytes && c.ExpectedOut <= bytes
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

	attention senseCode // that was taken from the nexus to be reported; zero: none
}

// Attention returns the unit attention that the command took from its nexus, to report it as its own sense or
// in REQUEST SENSE data; ok is false if it took none.
func (r *Response) Attention() (s Sense, ok bool) { return r.attention.sense(), r.attention != 0 }

// Reply sends data as data-in, cut to the CDB's allocation length. It copies data.
func (r *Response) Reply(cmd *Command, data []byte, allocationLength int64) {
	data = data[:min(int64(len(data)), max(allocationLength, 0))]
	copy(cmd.DataIn, data)
	r.InLen = int64(len(data))
}

// CheckCondition ends the command with CHECK CONDITION, this sense and no data-in.
func (r *Response) CheckCondition(s Sense) {
	*r = Response{Status: CheckCondition, Sense: s, attention: r.attention}
}

// refuse is CheckCondition for a sense without information.
func (r *Response) refuse(c senseCode) { r.CheckCondition(c.sense()) }

// Fail ends the command with what SenseFor says about err; nil leaves the response as it is.
func (r *Response) Fail(err error) {
	if err == nil {
		return
	}
	status, sense := SenseFor(err)
	*r = Response{Status: status, Sense: sense, attention: r.attention}
}
