package nbd

import "github.com/holdfast-storage/holdfast/block"

// The accounting of one connection: what is in flight, and who waits for whom. The reader waits for
// room, completions and writes make room, and neither of those ever waits here.

// enter waits until one more request may be in flight. It reports false if the connection ended or
// takes no further requests.
func (c *conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.calls >= c.server.o.InFlightRequests && !c.closed && !c.draining {
		c.waitForRoom()
	}
	if c.closed || c.draining {
		return false
	}
	c.calls++
	return true
}

// waitForRoom waits until something changes; mu is held. What is put off while the plug is held may be what makes
// room.
func (c *conn) waitForRoom() {
	if c.holding {
		c.mu.Unlock()
		c.letGo()
		c.mu.Lock()
		return
	}
	c.room.Wait()
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
		c.waitForRoom()
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

// completed takes a part back from the queue, on whatever goroutine that is, and writes what replies there are as far
// as that does not wait.
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

// signal has the replies written: now, or together with what else comes of the burst that is being handled.
func (c *conn) signal() {
	if !c.server.o.Plug.PutOff() {
		c.flush()
	}
}
