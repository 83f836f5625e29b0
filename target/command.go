package target

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// handleCommand takes a SCSI Command with its immediate data and starts the task, or lets it wait
// for the rest of its data.
func (c *conn) handleCommand() error {
	cmd, err := iscsi.ParseSCSICommand(&c.header)
	if err != nil {
		return c.rejectAndEnd(iscsi.RejectProtocolError, "%w", err)
	}
	t, reason, err := c.takeCommand(&cmd)
	switch {
	case err != nil:
		return err
	case reason != 0:
		c.reject(reason)
		return nil
	case t == nil:
		return nil // outside the window; its data is skipped
	}
	if t.command.CDB, err = c.wholeCDB(t); err != nil {
		return c.rejectAndEnd(iscsi.RejectInvalidPDUField, "%w", err)
	}
	c.measure(t)
	return c.takeImmediateData(t)
}

// takeCommand judges CmdSN and task tag and registers the task.
func (c *conn) takeCommand(cmd *iscsi.SCSICommand) (*task, iscsi.RejectReason, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cmd.Immediate {
		if c.extra >= immediateMax {
			return nil, iscsi.RejectTooManyImmediate, nil
		}
	} else {
		switch c.window.accept(cmd.CmdSN) {
		case ignore:
			return nil, 0, nil
		case broken:
			return nil, 0, c.cmdSNGap(c.window.expected())
		}
	}
	switch {
	case c.tasks[cmd.ITT] != nil:
		return nil, iscsi.RejectTaskInProgress, nil
	case cmd.ITT == iscsi.ReservedTag:
		return nil, iscsi.RejectInvalidPDUField, nil
	case cmd.Read && cmd.Write:
		return nil, iscsi.RejectNotSupported, nil // bidirectional
	}
	return c.register(cmd), 0, nil
}

// wholeCDB returns the CDB, with what an Additional Header Segment adds to it.
func (c *conn) wholeCDB(t *task) ([]byte, error) {
	if len(c.ahs) == 0 {
		return t.CDB[:], nil
	}
	rest, err := iscsi.ExtendedCDB(c.ahs)
	if err != nil || rest == nil {
		return t.CDB[:], err
	}
	return append(t.CDB[:len(t.CDB):len(t.CDB)], rest...), nil
}

// measure finds how much data the command moves each way.
func (c *conn) measure(t *task) {
	t.outNeed = min(t.unit.DataOutLen(t.command.CDB), t.expected(t.Write))
	t.command.ExpectedOut = t.expected(t.Write)
	t.inNeed = min(c.dataInLen(t), t.expected(t.Read))
}

// takeImmediateData reads the data segment of the current SCSI Command and goes on with the task.
func (c *conn) takeImmediateData(t *task) error {
	n := int64(c.header.DataLen())
	p := &c.session.params
	burst := min(int64(p.FirstBurstLength), t.expected(t.Write))
	switch {
	case n > 0 && !t.Write:
		return c.rejectAndEnd(iscsi.RejectProtocolError, "data with a command that is no write")
	case n > 0 && !p.ImmediateData:
		return c.rejectAndEnd(iscsi.RejectProtocolError, "immediate data although ImmediateData=No")
	case n > burst:
		return c.rejectAndEnd(iscsi.RejectProtocolError,
			"%d bytes of immediate data where %d may come", n, burst)
	case t.Write && !t.Final && p.InitialR2T:
		return c.rejectAndEnd(iscsi.RejectProtocolError, "unsolicited data although InitialR2T=Yes")
	}
	t.inbound = sequence{ttt: iscsi.ReservedTag, end: uint32(burst)}
	if !c.roomFor(t, burst) {
		t.inbound.lost = true
		t.response.Status = scsi.Busy // others hold the memory: the initiator tries again
		return c.afterLostData(t, t.Final)
	}
	if err := c.readData(t, int(n)); err != nil {
		return err
	}
	if t.Write && !t.Final {
		return c.afterData(t, false)
	}
	return c.afterData(t, true)
}

// handleOther rejects what this target does not do, and what no initiator sends.
func (c *conn) handleOther(op iscsi.Opcode) error {
	switch op {
	case iscsi.OpLoginRequest:
		return c.rejectAndEnd(iscsi.RejectProtocolError, "Login Request in full feature phase")
	case iscsi.OpSNACK:
		c.reject(iscsi.RejectSNACK) // error recovery level 0
		return nil
	}
	if taken, err := c.accept(); !taken {
		return err
	}
	c.reject(iscsi.RejectNotSupported)
	return nil
}

// errProtocol wraps what an initiator did against the protocol, when that ends the connection.
var errProtocol = fmt.Errorf("protocol error")
