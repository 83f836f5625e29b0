package blocktest

import (
	"context"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
)

// Queue makes a block.Queue of a device, for whatever takes a queue and is to be tested over a
// plain or a faulty device. Requests are done by a fixed number of workers, so they complete out of
// order when there are several; with none they are done inline in Submit.
type Queue struct {
	device  block.Device
	pending chan *block.Request // nil without workers
	workers sync.WaitGroup
}

var _ block.Queue = (*Queue)(nil)

// NewQueue starts the workers. Close the queue.
func NewQueue(d block.Device, workers int) *Queue {
	q := &Queue{device: d}
	if workers > 0 {
		q.pending = make(chan *block.Request, workers)
	}
	for range workers {
		q.workers.Go(func() {
			for r := range q.pending {
				q.do(r)
			}
		})
	}
	return q
}

// Submit hands the request to a worker.
func (q *Queue) Submit(r *block.Request) {
	if q.pending == nil {
		q.do(r)
		return
	}
	q.pending <- r
}

// Close ends the workers when they have done every request submitted before. It does not close the
// device.
func (q *Queue) Close() {
	if q.pending != nil {
		close(q.pending)
	}
	q.workers.Wait()
}

func (q *Queue) do(r *block.Request) {
	ctx := context.Background() // a queue's requests cannot be given up
	var err error
	switch r.Op {
	case block.OpRead:
		err = q.device.Read(ctx, r.Data, r.Range.Off)
	case block.OpWrite:
		err = q.device.Write(ctx, r.Data, r.Range.Off, r.Flags)
	case block.OpZero:
		err = q.device.Zero(ctx, r.Range, r.Flags)
	case block.OpFlush:
		err = q.device.Flush(ctx)
	default:
		err = block.ErrUnsupported
	}
	r.Complete(r, err)
}
