package initiator

import (
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// lunRequest carries a request of a LUN over as many sessions as it needs.
type lunRequest struct {
	lun   *LUN
	outer *block.Request
	inner block.Request // what a session gets; its Complete is answered
	since time.Time
	queue *RequestQueue // that has it; nil while it is held
	prev  *lunRequest
	next  *lunRequest
}

func (lr *lunRequest) begin(r *block.Request) {
	lr.outer, lr.since = r, time.Now()
	lr.inner.Op, lr.inner.Flags, lr.inner.Range, lr.inner.Data = r.Op, r.Flags, r.Range, r.Data
}

// send submits the request to the queue that it was given under the LUN's lock; with none it stays
// held. It is called without the lock, which the answer takes. A request that was held may be gone
// already, so it is not looked at then.
func (lr *lunRequest) send(q *RequestQueue) {
	if q != nil {
		q.Submit(&lr.inner)
	}
}

// answered is the Complete of inner.
func (lr *lunRequest) answered(_ *block.Request, err error) { lr.lun.settle(lr, err) }

// complete hands the request back to its submitter.
func (lr *lunRequest) complete(err error) {
	r := lr.outer
	lr.outer, lr.inner.Data, lr.queue = nil, nil, nil
	lr.lun.pool.Put(lr)
	r.Complete(r, err)
}

func completeAll(all []*lunRequest, err error) {
	for _, lr := range all {
		lr.complete(err)
	}
}

// requestList holds requests in the order of their submission.
type requestList struct{ first, last *lunRequest }

func (q *requestList) push(lr *lunRequest) {
	lr.prev, lr.next = q.last, nil
	if q.last == nil {
		q.first = lr
	} else {
		q.last.next = lr
	}
	q.last = lr
}

func (q *requestList) remove(lr *lunRequest) {
	if lr.prev == nil {
		q.first = lr.next
	} else {
		lr.prev.next = lr.next
	}
	if lr.next == nil {
		q.last = lr.prev
	} else {
		lr.next.prev = lr.prev
	}
	lr.prev, lr.next = nil, nil
}

// takeHeld removes and returns the requests that no session has, of those that are wanted.
func (q *requestList) takeHeld(wanted func(*lunRequest) bool) []*lunRequest {
	var held []*lunRequest
	for lr := q.first; lr != nil; {
		next := lr.next
		if lr.queue == nil && wanted(lr) {
			q.remove(lr)
			held = append(held, lr)
		}
		lr = next
	}
	return held
}

// assign gives all held requests to a queue and returns them, to be sent.
func (q *requestList) assign(to *RequestQueue) []*lunRequest {
	var held []*lunRequest
	for lr := q.first; lr != nil; lr = lr.next {
		if lr.queue == nil {
			lr.queue = to
			held = append(held, lr)
		}
	}
	return held
}
