package initiator

import (
	"context"
	"fmt"

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
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for s.Submit(t); ; {
		select {
		case <-answered:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if s.Resubmit(t) {
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
