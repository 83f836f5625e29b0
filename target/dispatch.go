package target

import (
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/scsi"
)

const (
	// inlineMax is the mean time of a kind of commands up to which they run on the reader. A
	// hand-over to a worker and back costs some microseconds.
	inlineMax = 100 * time.Microsecond
	// inlineBytes is the longest transfer that runs on the reader.
	inlineBytes = 1 << 20
	// flushApartBytes is the length of data-in from which writing it takes longer than to wake somebody who does.
	flushApartBytes = 64 << 10
)

const (
	// firstVendorOpcode is the first of the opcodes that have no meaning of their own.
	firstVendorOpcode = 0xC0
	serviceActions    = 32
)

// kind is what one expects to take about as long: commands with the same opcode, and of vendor specific ones with the
// same service action, which is all that tells them apart: one stores a block, and another waits for a disk.
type kind uint16

func kindOf(cdb []byte) kind {
	if cdb[0] < firstVendorOpcode || len(cdb) < 2 {
		return kind(cdb[0])
	}
	return firstVendorOpcode + kind(cdb[1]%serviceActions)
}

// quickness is how long commands of each kind have taken lately, as a moving average. A kind that has not been seen
// is taken for a slow one.
type quickness [firstVendorOpcode + serviceActions]atomic.Int64

// inline reports whether commands of this kind may run on the reader.
func (q *quickness) inline(k kind) bool {
	mean := q[k].Load()
	return mean > 0 && mean < int64(inlineMax)
}

// learn counts in one command. Concurrent updates may lose one another, which does no harm.
func (q *quickness) learn(k kind, took time.Duration) {
	mean := q[k].Load()
	if mean == 0 {
		q[k].Store(max(int64(took), 1))
		return
	}
	q[k].Store(max(mean+(int64(took)-mean)/8, 1))
}

// pool is the accounting of a connection's workers. conn.mu guards it.
type pool struct {
	started int
	idle    int // waiting for a task that nobody has queued
	backlog int // queued tasks that no idle worker was there for
}

// dataInLen returns the most data-in that a command can make.
func (c *conn) dataInLen(t *task) int64 {
	if scsi.IsReportLUNs(t.command.CDB) {
		return scsi.ReportLUNsLen(len(c.session.units.fields))
	}
	return t.unit.DataInLen(t.command.CDB)
}

// dispatch executes a task that has all its data: here if that will be quick, else in a worker. It
// returns errTakenOver if it was not quick after all and somebody else reads now.
func (c *conn) dispatch(t *task) error {
	k := kindOf(t.command.CDB)
	if t.inNeed+t.outNeed > inlineBytes || !c.quick.inline(k) || !c.tryReserveIn(t) {
		c.enqueue(t)
		return nil
	}
	turn := c.watch.enter()
	long := t.inNeed >= flushApartBytes
	c.timed(t, k)
	if !c.watch.leave(turn) {
		return errTakenOver
	}
	if long && c.reader.Ready() {
		c.flushApart()
	}
	return nil
}

// flushApart has another goroutine flush, so that long data-in is written while the next request is executed.
func (c *conn) flushApart() {
	if c.flusher == nil {
		c.flusher = make(chan struct{}, 1)
		c.wg.Go(func() {
			for range c.flusher {
				c.flush()
			}
		})
	}
	select {
	case c.flusher <- struct{}{}:
	default:
	}
}

// timed executes a task and learns how long that took.
func (c *conn) timed(t *task, k kind) {
	start := time.Now()
	c.execute(t)
	c.quick.learn(k, time.Since(start))
}

// tryReserveIn takes the memory for the task's data-in if there is any.
func (c *conn) tryReserveIn(t *task) bool {
	if t.inNeed == 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.budget.reserveIn(t.inNeed) {
		return false
	}
	t.inTaken = t.inNeed
	return true
}

// enqueue hands a task to the workers and starts one if none is idle.
func (c *conn) enqueue(t *task) {
	c.mu.Lock()
	switch {
	case c.workers.idle > 0:
		c.workers.idle--
	case c.workers.started < c.server.opts.Workers:
		c.workers.started++
		c.wg.Go(c.work)
	default:
		c.workers.backlog++
	}
	c.mu.Unlock()
	c.queue <- t // as long as the window, so it never blocks
}

// work executes queued tasks until the queue is closed.
func (c *conn) work() {
	for t := range c.queue {
		c.mu.Lock()
		for t.inTaken < t.inNeed && !c.gateShut && !t.aborted {
			if c.budget.reserveIn(t.inNeed) {
				t.inTaken = t.inNeed
			} else {
				c.budget.released.Wait()
			}
		}
		c.mu.Unlock()
		c.timed(t, kindOf(t.command.CDB))
		c.flush()
		c.mu.Lock()
		if c.workers.backlog > 0 {
			c.workers.backlog--
		} else {
			c.workers.idle++
		}
		c.mu.Unlock()
	}
}
