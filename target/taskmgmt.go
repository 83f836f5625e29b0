package target

import (
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// management is somebody who waits for the commands that it ended: a task management function is answered
// when none of them runs any more, and no response of them follows the answer (RFC 7143 §11.6.1).
type management struct {
	ended   func()       // called once, when none runs any more; does not block
	pending atomic.Int64 // affected commands that still run, and one for the request itself
}

func newManagement(ended func()) *management {
	m := &management{ended: ended}
	m.pending.Store(1)
	return m
}

// taskEnded counts one down and tells after the last.
func (m *management) taskEnded() {
	if m.pending.Add(-1) == 0 {
		m.ended()
	}
}

// handleTaskRequest takes a Task Management Function Request.
func (c *conn) handleTaskRequest() error {
	req, err := iscsi.ParseTaskRequest(&c.header)
	if err != nil {
		return c.rejectAndEnd(iscsi.RejectProtocolError, "%w", err)
	}
	if taken, err := c.accept(); !taken {
		return err
	}
	if !c.beginManagement() {
		c.reject(iscsi.RejectTooManyImmediate)
		return nil
	}
	m := newManagement(func() {
		c.endManagement()
		c.answerTaskRequest(req.ITT, iscsi.FunctionComplete)
		// The caller may be of another connection, which must not wait for this one's initiator.
		c.watch.kick()
	})
	switch req.Function {
	case iscsi.AbortTask:
		if c.abort(m, false, func(t *task) bool { return t.ITT == req.RefTag }) == 0 {
			c.refuseTaskRequest(req.ITT, iscsi.TaskDoesNotExist)
			return nil
		}
	case iscsi.AbortTaskSet:
		if !c.session.units.has(req.LUN) {
			c.refuseTaskRequest(req.ITT, iscsi.LUNDoesNotExist)
			return nil
		}
		c.abort(m, false, func(t *task) bool { return sameLUN(t.LUN, req.LUN) })
	case iscsi.ClearTaskSet, iscsi.LogicalUnitReset:
		if !c.session.units.has(req.LUN) {
			c.refuseTaskRequest(req.ITT, iscsi.LUNDoesNotExist)
			return nil
		}
		// Aborting comes first: what a command leaves behind that nobody is told of, the reset takes away.
		c.abortOfAll(m, func(t *task) bool { return sameLUN(t.LUN, req.LUN) })
		w, ok := c.session.units.find(req.LUN).LogicalUnit.(scsi.Watcher)
		if ok && req.Function == iscsi.LogicalUnitReset {
			w.Reset()
		}
	case iscsi.TargetWarmReset:
		c.abortOfAll(m, func(*task) bool { return true })
		c.session.units.eachWatcher(scsi.Watcher.Reset)
	case iscsi.TaskReassign:
		c.refuseTaskRequest(req.ITT, iscsi.ReassignmentNotSupported)
		return nil
	default:
		c.refuseTaskRequest(req.ITT, iscsi.FunctionNotSupported)
		return nil
	}
	m.taskEnded() // the request itself
	return nil
}

// beginManagement counts in a task management function; there may be so many unanswered ones at a time.
func (c *conn) beginManagement() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.managing >= immediateMax {
		return false
	}
	c.managing++
	return true
}

func (c *conn) endManagement() {
	c.mu.Lock()
	c.managing--
	c.mu.Unlock()
}

// AbortTasks implements scsi.TaskAborter: t is a PREEMPT AND ABORT that executes.
func (t *task) AbortTasks(of func(scsi.Nexus) bool) (wait func()) {
	done := make(chan struct{})
	m := newManagement(func() { close(done) })
	for _, s := range t.conn.session.peers() {
		if s.conn != t.conn && of(s.nexus) {
			s.conn.abort(m, true, func(other *task) bool {
				return other.unit.LogicalUnit == t.unit.LogicalUnit || scsi.ReachesOtherUnits(other.CDB[:])
			})
		}
	}
	m.taskEnded()
	return func() { <-done }
}

// Aborted implements scsi.TaskAborter.
func (t *task) Aborted() bool {
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	return t.aborted
}

// abortOfAll aborts matching tasks of every session of the target.
func (c *conn) abortOfAll(m *management, match func(*task) bool) {
	for _, s := range c.session.peers() {
		s.conn.abort(m, s.conn != c, match)
	}
}

// abort keeps matching tasks from executing and from being answered, and makes m wait for those that
// are in somebody's hands. Tasks of another nexus are told TASK ABORTED. It returns how many matched.
func (c *conn) abort(m *management, foreign bool, match func(*task) bool) int {
	c.mu.Lock()
	found := 0
	for _, t := range c.tasks {
		if !match(t) {
			continue
		}
		found++
		first := !t.aborted
		t.aborted = true
		t.terminated = t.terminated || first && foreign
		if foreign && t.state != waiting && t.state != executing {
			// It does not begin any more, but when it would have is not in our hands: its initiator may never finish
			// what it sends, and those who execute on its connection may wait for something themselves.
			continue
		}
		if t.state != waiting {
			m.pending.Add(1)
			t.waiters = append(t.waiters, m)
			continue
		}
		c.leaveWindow(t)
		if t.terminated {
			c.postTaskAborted(t)
		}
		if n := t.unit.counters; n != nil {
			n.count(t, false)
		}
		c.drop(t)
	}
	c.budget.released.Broadcast() // whoever waits for memory need not any more
	c.mu.Unlock()
	if found > 0 {
		c.watch.kick()
	}
	return found
}

// refuseTaskRequest answers a function that waits for nothing.
func (c *conn) refuseTaskRequest(itt uint32, code iscsi.TaskResponseCode) {
	c.endManagement()
	c.answerTaskRequest(itt, code)
}

func (c *conn) answerTaskRequest(itt uint32, code iscsi.TaskResponseCode) {
	resp := iscsi.TaskResponse{Response: code, ITT: itt}
	var h iscsi.BHS
	resp.Encode(&h)
	c.mu.Lock()
	c.post(&h, nil)
	c.mu.Unlock()
}
