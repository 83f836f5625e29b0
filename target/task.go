package target

import (
	"context"
	"time"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// taskState says who may touch a task. conn.mu guards changes.
type taskState byte

const (
	waiting   taskState = iota // for data-out; whoever holds mu may drop it
	filling                    // the leader reads data into it
	ready                      // has all its data, and begins as soon as somebody executes it
	executing                  // in the unit
)

// task is one SCSI command from its PDU to its reply. Tasks are pooled by their connection.
type task struct {
	iscsi.SCSICommand // as it came
	conn              *conn
	unit              unit
	arrived           time.Time // when its first PDU was read
	state             taskState
	command           scsi.Command
	response          scsi.Response

	aborted    bool          // no reply is sent,
	terminated bool          // unless another nexus aborted it: then TASK ABORTED
	waiters    []*management // to be told when it has ended

	out      *buffer // data-out, outNeed bytes when it is whole
	outNeed  int64   // of it, what the unit takes
	outTaken int64   // bytes of the data-out budget
	first    int64   // bytes of the budget for data that comes unasked
	in       *buffer
	inNeed   int64 // the most data-in that the unit makes and the initiator expects
	inTaken  int64 // bytes of the data-in budget
	inbound  sequence
	r2tSN    iscsi.Serial
}

// expected returns the Expected Data Transfer Length in one direction, zero for the other.
func (t *task) expected(direction bool) int64 {
	if !direction {
		return 0
	}
	return int64(t.ExpectedDataTransferLength)
}

// newTask returns an empty task. The caller holds mu.
func (c *conn) newTask() *task {
	if n := len(c.free); n > 0 {
		t := c.free[n-1]
		c.free = c.free[:n-1]
		return t
	}
	return &task{conn: c}
}

// register makes the current SCSI Command a task. The caller holds mu.
func (c *conn) register(cmd *iscsi.SCSICommand) *task {
	t := c.newTask()
	t.SCSICommand = *cmd
	t.unit = c.session.units.find(t.LUN)
	t.arrived = time.Now()
	t.state = filling
	c.tasks[t.ITT] = t
	if t.Immediate {
		c.extra++
	} else {
		c.window.occupy()
	}
	return t
}

// leaveWindow gives back the task's place among the commands of the session. It comes before the
// reply, so that the reply's MaxCmdSN lets the initiator send the next one. The caller holds mu.
func (c *conn) leaveWindow(t *task) {
	delete(c.tasks, t.ITT)
	if t.Immediate {
		c.extra--
	} else {
		c.window.vacate()
	}
}

// drop gives back what a task holds and lets others have it. The caller holds mu and has posted the
// task's reply, if any.
func (c *conn) drop(t *task) {
	c.server.buffers.put(t.out)
	c.server.buffers.put(t.in)
	c.budget.releaseIn(t.inTaken)
	c.budget.releaseOut(t.outTaken)
	c.budget.releaseFirst(t.first)
	c.budget.forget(t)
	*t = task{conn: c}
	c.free = append(c.free, t)
	c.resumeTransfers()
}

// open reports whether the task may execute, and from then on it is executing.
func (c *conn) open(t *task) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gateShut || t.aborted {
		return false
	}
	t.state = executing
	return true
}

// execute runs a task that has all of its data-out and its data-in memory, and posts the reply. The
// caller flushes.
func (c *conn) execute(t *task) {
	if !c.open(t) {
		c.end(t, false)
		return
	}
	t.command.Nexus, t.command.Tasks = c.session.nexus, t
	if t.out != nil {
		t.command.DataOut = t.out.b
	}
	if t.inNeed > 0 {
		t.in = c.server.buffers.get(int(t.inNeed))
		t.command.DataIn = t.in.b
	}
	if scsi.IsReportLUNs(t.command.CDB) {
		scsi.ReportLUNs(c.session.units.fields, &t.command, &t.response)
	} else {
		// A command that has begun always finishes: a context that ends would leave its outcome
		// open, and whoever drains the session would not know.
		t.unit.Execute(context.Background(), &t.command, &t.response)
	}
	c.end(t, true)
}

// end posts the reply of a task and removes it. answer is false for a task that did not execute.
func (c *conn) end(t *task, answer bool) {
	c.mu.Lock()
	c.leaveWindow(t)
	switch {
	case t.terminated && !c.gateShut:
		c.postTaskAborted(t)
	case answer && !t.aborted:
		c.postReply(t)
	}
	if sense, ok := t.response.Attention(); ok && t.aborted {
		if w, ok := t.unit.LogicalUnit.(scsi.Watcher); ok {
			w.Unreported(c.session.nexus, sense)
		}
	}
	if n := t.unit.counters; n != nil {
		n.count(t, answer && !t.aborted)
	}
	waiters := t.waiters
	c.drop(t)
	c.mu.Unlock()
	for _, m := range waiters {
		m.taskEnded()
	}
}
