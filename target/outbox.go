package target

import (
	"sync"

	"github.com/holdfast-storage/holdfast/iscsi"
)

const (
	// pinBytes is the length from which data-in is written from where it lies instead of copied.
	pinBytes = 16 << 10
	// flushBytes bounds what waits for a flush while further requests are buffered.
	flushBytes = 256 << 10
	// unreadBytes bounds what of it was copied while a write does not end. The rest is in the data-in budget.
	unreadBytes = 512 << 10
)

// outbox holds the PDUs that wait to be written. conn.mu guards it; the batch that is being written
// belongs to whoever writes it.
type outbox struct {
	pending *outBatch
	spare   *outBatch // nil while it is being written
	writing bool
	writes  uint64    // begun so far: the watch sees one that does not end
	err     error     // the connection cannot be written to any more
	written sync.Cond // a write has ended
}

// outBatch is a batch with the buffers whose data it refers to.
type outBatch struct {
	iscsi.Batch
	pinned  []*buffer
	inBytes int64 // of the data-in budget that the pinned buffers occupy
}

func (o *outbox) init(mu *sync.Mutex) {
	o.written.L = mu
	o.pending, o.spare = &outBatch{}, &outBatch{}
}

func (o *outbox) setDigests(d iscsi.Digests) {
	o.pending.SetDigests(d)
	o.spare.SetDigests(d)
}

// post adds a PDU whose StatSN counts as new, which is every response. The caller holds mu.
func (c *conn) post(h *iscsi.BHS, data []byte) {
	h.SetStatSN(c.statSN)
	c.statSN = c.statSN.Next()
	c.postUncounted(h, data)
}

// postNext adds a PDU that carries the next StatSN without taking it: R2T and a NOP-In that asks.
// The caller holds mu.
func (c *conn) postNext(h *iscsi.BHS, data []byte) {
	h.SetStatSN(c.statSN)
	c.postUncounted(h, data)
}

// postUncounted adds a PDU without StatSN. The caller holds mu.
func (c *conn) postUncounted(h *iscsi.BHS, data []byte) {
	h.SetWindow(c.window.expected(), c.window.last())
	if c.out.err == nil {
		c.out.pending.Append(h, data)
		c.note(true, h)
	}
}

// flush writes what is pending. When another goroutine is writing already, that one also writes what
// came meanwhile, so replies that end together go out together.
func (c *conn) flush() {
	c.mu.Lock()
	if c.out.writing {
		c.mu.Unlock()
		return
	}
	c.out.writing = true
	for c.out.pending.Len() > 0 && c.out.err == nil {
		b := c.out.pending
		c.out.pending, c.out.spare = c.out.spare, nil
		c.out.writes++
		c.mu.Unlock()
		err := c.write(b)
		if err != nil {
			c.reset() // the leader notices
		}
		c.mu.Lock()
		c.out.err = err
		c.recycle(b)
		c.out.spare = b
		c.out.written.Broadcast()
	}
	c.out.writing = false
	c.out.written.Broadcast()
	c.mu.Unlock()
}

// write writes a batch and waits for that. One goroutine at a time does.
func (c *conn) write(b *outBatch) error {
	done, err := c.sender.Start(b.Vectors())
	if err == nil && !done {
		err = c.sender.Finish()
	}
	return err
}

// awaitRoom keeps the leader from reading while more than enough waits for somebody else's write to end: an
// initiator that asks and does not read would fill the memory with answers.
func (c *conn) awaitRoom() {
	c.mu.Lock()
	for c.out.writing && c.out.pending.Len()-int(c.out.pending.inBytes) >= unreadBytes && c.out.err == nil {
		c.out.written.Wait()
	}
	c.mu.Unlock()
}

// recycle empties a batch and gives its buffers back. The caller holds mu.
func (c *conn) recycle(b *outBatch) {
	for i, buf := range b.pinned {
		c.server.buffers.put(buf)
		b.pinned[i] = nil
	}
	c.budget.releaseIn(b.inBytes)
	b.pinned, b.inBytes = b.pinned[:0], 0
	b.Reset()
}

// mustFlush reports whether so much is pending that it should not wait for further requests.
func (c *conn) mustFlush() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.pending.Len() >= flushBytes
}

// discard gives back what will never be sent, and the tasks that still wait for data.
func (c *conn) discard() {
	c.mu.Lock()
	c.budget.outWaiting = nil
	var waiters []*management
	for _, t := range c.tasks {
		waiters = append(waiters, t.waiters...)
		c.leaveWindow(t)
		c.drop(t)
	}
	c.recycle(c.out.pending)
	c.mu.Unlock()
	for _, m := range waiters {
		m.taskEnded()
	}
}
