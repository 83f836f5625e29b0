package initiator

import (
	"fmt"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/scsi"
)

// Unit is what a RequestQueue has to know of a logical unit. Probe asks the unit for it; whoever
// knows it from elsewhere, such as from a leg's label, fills it in.
type Unit struct {
	LUN    uint64       // as it stands in the iSCSI header
	Limits block.Limits // SizeBytes, BlockBytes and MaxBytes are required
	// MaxZeroBytes is the longest WRITE SAME, a multiple of BlockBytes; 0 = MaxBytes.
	MaxZeroBytes int64
}

// RequestQueue is a logical unit on a session as a block.Queue: read is READ (16), write is
// WRITE (16), with FUA if asked, zero is WRITE SAME (16) of zeroes, with UNMAP if asked and the
// unit can, flush is SYNCHRONIZE CACHE (16). WRITE SAME has no FUA, so a zero that asks for it is
// followed by a SYNCHRONIZE CACHE of its own. Nothing is allocated for a request in steady state.
//
// A request that the unit cannot take at once is sent in parts, one after the other, and completes
// with the first error. Requests outside the unit or of broken blocks are refused here.
//
// Its errors are those of scsi.ErrorFor, wrapped; block.ErrUnreachable if the session ended; and
// block.ErrFailed if the target reported success but did not move all of the data.
type RequestQueue struct {
	session *Session
	unit    Unit
	zeroes  []byte // one block, never written
	pool    sync.Pool
}

// NewRequestQueue returns the queue of a unit. It has nothing to close: it ends with the session.
func NewRequestQueue(s *Session, u Unit) (*RequestQueue, error) {
	l := u.Limits
	if u.MaxZeroBytes == 0 {
		u.MaxZeroBytes = l.MaxBytes
	}
	if l.BlockBytes < 1 || l.BlockBytes&(l.BlockBytes-1) != 0 || l.SizeBytes < 0 ||
		l.MaxBytes < l.BlockBytes || u.MaxZeroBytes < l.BlockBytes {
		return nil, fmt.Errorf("lun %d: limits %+v, longest zero %d: want whole blocks",
			u.LUN, l, u.MaxZeroBytes)
	}
	// A count of blocks has 32 bits in the CDB.
	most := min(l.BlockBytes*(1<<32-1), maxTransferBytes&^(l.BlockBytes-1))
	u.Limits.MaxBytes = min(l.MaxBytes&^(l.BlockBytes-1), most)
	u.MaxZeroBytes = min(u.MaxZeroBytes&^(l.BlockBytes-1), l.BlockBytes*(1<<32-1))
	q := &RequestQueue{session: s, unit: u, zeroes: make([]byte, l.BlockBytes)}
	q.pool.New = func() any {
		rt := &requestTask{queue: q}
		rt.task.Done = rt.step
		return rt
	}
	return q, nil
}

// Limits returns the limits of the unit as this queue keeps them.
func (q *RequestQueue) Limits() block.Limits { return q.unit.Limits }

// Submit implements block.Queue. It does not block.
func (q *RequestQueue) Submit(r *block.Request) {
	if err := q.check(r); err != nil {
		r.Complete(r, err)
		return
	}
	if r.Op != block.OpFlush && r.Range.Empty() {
		r.Complete(r, nil)
		return
	}
	rt := q.pool.Get().(*requestTask)
	rt.request, rt.done, rt.syncs = r, 0, false
	rt.submit()
}

func (q *RequestQueue) check(r *block.Request) error {
	switch r.Op {
	case block.OpRead, block.OpWrite:
		if int64(len(r.Data)) != r.Range.Len {
			return fmt.Errorf("%v %v with %d bytes of data: %w",
				r.Op, r.Range, len(r.Data), block.ErrUnsupported)
		}
	case block.OpZero, block.OpFlush:
	default:
		return fmt.Errorf("%v: %w", r.Op, block.ErrUnsupported)
	}
	if err := q.unit.Limits.Check(r.Op, r.Range, r.Flags); err != nil {
		return fmt.Errorf("%v %v: %w", r.Op, r.Range, err)
	}
	return nil
}

// requestTask carries one request through as many commands as it needs.
type requestTask struct {
	task    Task
	queue   *RequestQueue
	request *block.Request
	done    int64 // bytes of the request that are done
	part    int64 // bytes of the command that is under way
	syncs   bool  // that command is the SYNCHRONIZE CACHE after a zero with FUA
}

// submit sends the command for the next part of the request.
func (rt *requestTask) submit() {
	q, r, t := rt.queue, rt.request, &rt.task
	size := q.unit.Limits.BlockBytes
	t.LUN, t.DataOut, t.DataIn = q.unit.LUN, nil, nil
	rt.part = min(r.Range.Len-rt.done, q.unit.Limits.MaxBytes)
	if r.Op == block.OpZero {
		rt.part = min(r.Range.Len-rt.done, q.unit.MaxZeroBytes)
	}
	op := r.Op
	if rt.syncs {
		op = block.OpFlush
	}
	lba, blocks := uint64((r.Range.Off+rt.done)/size), uint32(rt.part/size)
	switch op {
	case block.OpRead:
		t.CDB, t.DataIn = scsi.Read16CDB(lba, blocks), r.Data[rt.done:rt.done+rt.part]
	case block.OpWrite:
		t.CDB = scsi.Write16CDB(lba, blocks, r.Flags&block.FUA != 0)
		t.DataOut = r.Data[rt.done : rt.done+rt.part]
	case block.OpZero:
		unmap := r.Flags&block.Unmap != 0 && q.unit.Limits.CanUnmap
		t.CDB, t.DataOut = scsi.WriteSame16CDB(lba, blocks, unmap), q.zeroes
	case block.OpFlush:
		rt.part = 0
		t.CDB = scsi.SynchronizeCache16CDB(0, 0)
	}
	q.session.Submit(t)
}

// step takes the answer to a command, and sends the next or completes the request.
func (rt *requestTask) step(t *Task) {
	if rt.queue.session.Resubmit(t) {
		return
	}
	err := t.Result()
	if err == nil && t.Residual != 0 {
		err = fmt.Errorf("target left a residual of %d bytes: %w", t.Residual, block.ErrFailed)
	}
	rt.done += rt.part
	if err == nil && rt.done < rt.request.Range.Len {
		rt.submit()
		return
	}
	if err == nil && rt.request.Op == block.OpZero && rt.request.Flags&block.FUA != 0 && !rt.syncs {
		rt.syncs = true
		rt.submit()
		return
	}
	rt.complete(err)
}

func (rt *requestTask) complete(err error) {
	r := rt.request
	if err != nil {
		err = fmt.Errorf("%s: %v %v: %w", rt.queue.session.options.TargetName, r.Op, r.Range, err)
	}
	rt.request, rt.task.DataIn, rt.task.DataOut = nil, nil, nil
	rt.queue.pool.Put(rt)
	r.Complete(r, err)
}
