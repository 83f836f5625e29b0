package target

import (
	"math"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// postReply posts the data-in and the status of a task that has executed. The caller holds mu.
func (c *conn) postReply(t *task) {
	res := &t.response
	residual, overflow := t.residual()
	dataSN := t.r2tSN // Data-In and R2T PDUs of a command share their numbers' space
	if n := min(res.InLen, t.inNeed); n > 0 {
		withStatus := res.Status == scsi.Good
		dataSN = c.postDataIn(t, t.in.b[:n], withStatus, residual, overflow)
		if withStatus {
			return
		}
	}
	pdu := iscsi.SCSIResponse{
		Overflow: overflow && residual > 0, Underflow: !overflow && residual > 0, Residual: residual,
		Response: iscsi.CommandCompleted, Status: byte(res.Status), ITT: t.ITT, ExpDataSN: dataSN,
	}
	var h iscsi.BHS
	pdu.Encode(&h)
	if res.Status != scsi.CheckCondition {
		c.post(&h, nil)
		return
	}
	var sense [scsi.FixedSenseLen]byte
	var data [scsi.FixedSenseLen + 2]byte
	c.post(&h, iscsi.AppendSense(data[:0], res.Sense.AppendFixed(sense[:0])))
}

// residual returns how many bytes the initiator expected and did not get moved, or, with overflow,
// how many more would have been needed (RFC 7143 §11.4.5).
func (t *task) residual() (bytes uint32, overflow bool) {
	expected := int64(t.ExpectedDataTransferLength)
	var moved int64
	switch {
	case t.Write:
		moved = t.unit.DataOutLen(t.command.CDB)
	case t.Read:
		moved = t.response.InLen
	default:
		expected = 0
		moved = t.response.InLen + t.unit.DataOutLen(t.command.CDB)
	}
	if moved > expected {
		return uint32(min(moved-expected, math.MaxUint32)), true
	}
	return uint32(expected - moved), false
}

// postDataIn posts data-in in as many PDUs as the initiator's limits ask for, the last one with the
// status if it is to have it, and returns how many there were. Long data is not copied: its buffer
// belongs to the outbox from here on. The caller holds mu.
func (c *conn) postDataIn(
	t *task, data []byte, withStatus bool, residual uint32, overflow bool,
) iscsi.Serial {
	p := &c.session.params
	segment, burst := int(p.MaxSendDataSegmentLength), int(p.MaxBurstLength)
	pin := len(data) >= pinBytes && c.out.err == nil
	var sn iscsi.Serial
	for off := 0; off < len(data); sn = sn.Next() {
		n := min(segment, len(data)-off, burst-off%burst)
		last := off+n == len(data)
		pdu := iscsi.DataIn{
			Final: last || (off+n)%burst == 0,
			LUN:   t.LUN, ITT: t.ITT, TTT: iscsi.ReservedTag, DataSN: sn, BufferOffset: uint32(off),
		}
		if last && withStatus {
			pdu.HasStatus = true
			pdu.Residual = residual
			pdu.Overflow, pdu.Underflow = overflow && residual > 0, !overflow && residual > 0
		}
		var h iscsi.BHS
		pdu.Encode(&h)
		if pdu.HasStatus {
			h.SetStatSN(c.statSN)
			c.statSN = c.statSN.Next()
		}
		if pin {
			h.SetWindow(c.window.expected(), c.window.last())
			c.out.pending.AppendPinned(&h, data[off:off+n])
			c.note(true, &h)
		} else {
			c.postUncounted(&h, data[off:off+n])
		}
		off += n
	}
	if pin {
		c.out.pending.pinned = append(c.out.pending.pinned, t.in)
		c.out.pending.inBytes += t.inTaken
		t.in, t.inTaken = nil, 0
	}
	return sn
}

// postTaskAborted posts the status of a task that another nexus aborted. The caller holds mu.
func (c *conn) postTaskAborted(t *task) {
	pdu := iscsi.SCSIResponse{Response: iscsi.CommandCompleted, Status: byte(scsi.TaskAborted), ITT: t.ITT}
	var h iscsi.BHS
	pdu.Encode(&h)
	c.post(&h, nil)
}
