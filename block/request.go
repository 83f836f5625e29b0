package block

// Op says what a Request does.
type Op uint8

// The operations of a block device.
const (
	OpRead Op = iota + 1
	OpWrite
	OpZero
	OpFlush
)

// String returns the operation's name as it stands in errors and logs.
func (o Op) String() string {
	switch o {
	case OpRead:
		return "read"
	case OpWrite:
		return "write"
	case OpZero:
		return "zero"
	case OpFlush:
		return "flush"
	}
	return "unknown operation"
}

// Changes reports whether the operation may change what the device holds.
func (o Op) Changes() bool { return o == OpWrite || o == OpZero }

// Request is one operation that a Queue takes and completes later.
//
// The request and its Data belong to the queue from Submit until Complete is called; then they are
// the submitter's again. A Request may be reused after that: the data path pools them.
type Request struct {
	Op    Op
	Flags Flags
	Range Range  // empty for OpFlush
	Data  []byte // len(Data) == Range.Len for OpRead and OpWrite, nil otherwise

	// Complete is called exactly once for each Submit, from any goroutine, possibly before Submit
	// has returned. It must not block and must not hold on to the queue's goroutine: it may
	// submit further requests.
	Complete func(*Request, error)
}

// Queue takes requests without blocking for their I/O. Submit may wait for room in a bounded
// queue. It is safe for use by many goroutines.
type Queue interface {
	Submit(*Request)
}

// Check returns the error that a device with limits l must refuse the request with, nil if the
// request is well formed. Devices call it once, at their edge.
func (l Limits) Check(op Op, r Range, f Flags) error {
	switch {
	case op == OpFlush:
		return nil
	case !r.Within(l.SizeBytes):
		return ErrOutOfRange
	case !r.Aligned(l.BlockBytes):
		return ErrMisaligned
	case op.Changes() && l.ReadOnly:
		return ErrReadOnly
	}
	return nil
}
