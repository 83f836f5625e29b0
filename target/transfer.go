package target

import (
	"errors"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// sequence is the run of Data-Out PDUs that is under way for a task: unsolicited data, or the answer
// to one R2T.
type sequence struct {
	ttt    uint32
	offset uint32 // of the next byte
	end    uint32 // bytes from here on were not asked for
	dataSN iscsi.Serial
	closed bool // its last PDU has come
	lost   bool // it is of no use, a PDU of it is missing: the command fails once the last has come
}

// roomFor gives the task memory for its data-out: all of it if there is budget, else as much as may
// come before an R2T. It reports whether there was room.
func (c *conn) roomFor(t *task, burst int64) bool {
	if t.outNeed == 0 {
		return true
	}
	n := t.outNeed
	c.mu.Lock()
	if n > burst && c.budget.reserveOut(n) {
		t.outTaken = n
	} else if n = min(n, burst); c.budget.reserveFirst(n) {
		t.first = n
	} else {
		c.mu.Unlock()
		return false
	}
	c.mu.Unlock()
	t.out = c.server.buffers.get(int(n))
	return true
}

// readData reads n bytes, the current data segment, to the sequence's offset. What lies behind what
// the unit takes is thrown away.
func (c *conn) readData(t *task, n int) (err error) {
	if n == 0 {
		return nil
	}
	off := int(t.inbound.offset)
	t.inbound.offset += uint32(n)
	var room []byte
	if t.out != nil && off < len(t.out.b) {
		room = t.out.b[off:]
	}
	if n <= len(room) {
		err = c.reader.ReadData(room[:n])
	} else {
		scratch := c.server.buffers.get(n)
		err = c.reader.ReadData(scratch.b)
		copy(room, scratch.b)
		c.server.buffers.put(scratch)
	}
	if errors.Is(err, iscsi.ErrDataDigest) {
		return c.rejectAndEnd(iscsi.RejectDataDigest, "%w", err)
	}
	return err
}

// afterData goes on with a task after some of its data has come: it waits for more of the sequence,
// asks for more, or executes.
func (c *conn) afterData(t *task, final bool) error {
	c.mu.Lock()
	t.inbound.closed = final
	if t.aborted {
		c.mu.Unlock()
		c.end(t, false)
		return nil
	}
	t.state = waiting
	switch {
	case !final:
	case int64(t.inbound.offset) < t.outNeed:
		c.requestTransfer(t)
	default:
		t.state = ready
		c.mu.Unlock()
		return c.dispatch(t)
	}
	c.mu.Unlock()
	return nil
}

// handleDataOut takes one Data-Out.
func (c *conn) handleDataOut() error {
	pdu, err := iscsi.ParseDataOut(&c.header)
	if err != nil {
		return c.rejectAndEnd(iscsi.RejectProtocolError, "%w", err)
	}
	c.mu.Lock()
	t := c.tasks[pdu.ITT]
	if t == nil || t.state != waiting {
		c.mu.Unlock()
		return nil // of a task that was aborted, or has all it needs: skipped
	}
	t.state = filling
	c.mu.Unlock()
	n := c.header.DataLen()
	seq := &t.inbound
	switch {
	case seq.closed:
		return c.rejectAndEnd(iscsi.RejectProtocolError, "Data-Out that nobody asked for")
	case pdu.TTT != seq.ttt:
		return c.rejectAndEnd(iscsi.RejectInvalidPDUField, "Data-Out with Target Task Tag %x, want %x",
			pdu.TTT, seq.ttt)
	case seq.lost, pdu.DataSN != seq.dataSN:
		if !seq.lost {
			seq.lost = true
			t.response.CheckCondition(scsi.LostData())
		}
		return c.afterLostData(t, pdu.Final)
	case pdu.BufferOffset != seq.offset || n > int(seq.end-seq.offset):
		return c.rejectAndEnd(iscsi.RejectProtocolError, "Data-Out of [%d,+%d) where [%d,%d) is next",
			pdu.BufferOffset, n, seq.offset, seq.end)
	}
	seq.dataSN = seq.dataSN.Next()
	if err := c.readData(t, n); err != nil {
		return err
	}
	if pdu.Final && seq.ttt != iscsi.ReservedTag && seq.offset != seq.end {
		return c.rejectAndEnd(iscsi.RejectProtocolError, "data ends at %d of %d", seq.offset, seq.end)
	}
	return c.afterData(t, pdu.Final)
}

// afterLostData throws the data of the current PDU away and ends the command with the response that it has
// when the sequence has ended: before that, its initiator may not hear of it (RFC 7143 §7.8).
func (c *conn) afterLostData(t *task, final bool) error {
	if !final {
		c.mu.Lock()
		aborted := t.aborted
		if !aborted { // else it is ours to end, and nobody else's
			t.state = waiting
		}
		c.mu.Unlock()
		if aborted {
			c.end(t, false)
		}
		return nil
	}
	c.end(t, true)
	return nil
}

// requestTransfer sends an R2T for the next burst, or queues the task until there is memory for its
// data. The caller holds mu.
func (c *conn) requestTransfer(t *task) {
	if t.outTaken == 0 {
		if len(c.budget.outWaiting) > 0 || !c.budget.reserveOut(t.outNeed) {
			c.budget.outWaiting = append(c.budget.outWaiting, t)
			return
		}
		t.outTaken = t.outNeed
	}
	c.sendR2T(t)
}

// resumeTransfers lets tasks go on that waited for memory. The caller holds mu.
func (c *conn) resumeTransfers() {
	for len(c.budget.outWaiting) > 0 {
		t := c.budget.outWaiting[0]
		if !c.budget.reserveOut(t.outNeed) {
			return
		}
		c.budget.outWaiting = c.budget.outWaiting[1:]
		t.outTaken = t.outNeed
		c.sendR2T(t)
	}
}

func (c *conn) sendR2T(t *task) {
	if int64(len(t.out.b)) < t.outNeed {
		whole := c.server.buffers.get(int(t.outNeed))
		copy(whole.b, t.out.b[:t.inbound.offset])
		c.server.buffers.put(t.out)
		t.out = whole
		c.budget.releaseFirst(t.first)
		t.first = 0
	}
	c.lastTTT++
	if c.lastTTT == iscsi.ReservedTag {
		c.lastTTT = 0
	}
	burst := min(uint32(t.outNeed)-t.inbound.offset, c.session.params.MaxBurstLength)
	t.inbound = sequence{ttt: c.lastTTT, offset: t.inbound.offset, end: t.inbound.offset + burst}
	r2t := iscsi.R2T{LUN: t.LUN, ITT: t.ITT, TTT: c.lastTTT, R2TSN: t.r2tSN,
		BufferOffset: t.inbound.offset, DesiredDataTransferLength: burst}
	t.r2tSN = t.r2tSN.Next()
	var h iscsi.BHS
	r2t.Encode(&h)
	c.postNext(&h, nil)
}
