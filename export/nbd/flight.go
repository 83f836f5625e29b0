package nbd

import "github.com/holdfast-storage/holdfast/block"

// The accounting of one connection: what is in flight, and who waits for whom. The reader waits for
// room, the queue's completions and the writer make room, and neither of those ever waits here.

// enter waits until one more request may be in flight. It reports false if the connection ended or
// takes no further requests.
func (c *conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.calls >= c.server.o.InFlightRequests && !c.closed && !c.draining {
		c.room.Wait()
	}
	if c.closed || c.draining {
		return false
	}
	c.calls++
	return true
}

// forget takes back enter for a request that did not arrive whole and is never answered.
func (c *conn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls--
}

// reserve waits until cost more bytes may be in flight; whatever its cost, one is let in when
// nothing else is. It reports false if the connection ended.
func (c *conn) reserve(cost int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.bytes > 0 && c.bytes+cost > c.server.o.InFlightBytes && !c.closed {
		c.room.Wait()
	}
	c.bytes += cost
	return !c.closed
}

// waitAnswered waits until nothing is in flight and every reply is written, or the connection ended.
func (c *conn) waitAnswered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.calls > 0 && !c.closed {
		c.room.Wait()
	}
}

// completed takes a part back from the queue, on whatever goroutine that is. It does no I/O.
func (c *conn) completed(q *part, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	k := q.call
	k.pending--
	if err != nil && k.errno == 0 {
		k.errno = errnoFor(k.op, err)
	}
	last := k.pending == 0
	switch {
	case k.whole:
		if last {
			c.replies = append(c.replies, reply{call: k})
		}
	case k.op == block.OpRead && err == nil:
		c.replies = append(c.replies, reply{part: q, call: k, last: last && k.errno == 0})
		if last && k.errno != 0 {
			c.replies = append(c.replies, reply{call: k, last: true})
		}
	default:
		c.bytes -= q.cost
		c.server.pools.freePart(q)
		if last {
			c.replies = append(c.replies, reply{call: k, last: true})
		}
		c.room.Broadcast()
	}
	c.mu.Unlock()
	c.signal()
}

// answer ends a call that never went to the queue.
func (c *conn) answer(k *call) {
	c.mu.Lock()
	c.replies = append(c.replies, reply{call: k, last: true})
	c.mu.Unlock()
	c.signal()
}

// signal tells the writer that there are replies.
func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default: // it has been told
	}
}
