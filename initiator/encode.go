package initiator

import "github.com/holdfast-storage/holdfast/iscsi"

// immediateLen returns how much of n bytes of data-out travels in the command itself (RFC 7143
// §4.2.5.1).
func immediateLen(p *iscsi.Params, n int) int {
	if !p.ImmediateData {
		return 0
	}
	return min(n, int(p.FirstBurstLength), int(p.MaxSendDataSegmentLength))
}

// unsolicitedLen returns how much of n bytes of data-out is sent without being asked for: immediate
// data and, with InitialR2T=No, the Data-Out that follows up to the first burst.
func unsolicitedLen(p *iscsi.Params, n int) int {
	if p.InitialR2T {
		return immediateLen(p, n)
	}
	return min(n, int(p.FirstBurstLength))
}

// encode adds the PDUs of a parcel to the batch.
func (s *Session) encode(p *parcel, expStatSN iscsi.Serial) {
	var h iscsi.BHS
	switch {
	case p.task == nil:
		nop := iscsi.NOPOut{Immediate: true, LUN: p.order.lun, ITT: iscsi.ReservedTag, TTT: p.order.ttt,
			CmdSN: p.cmdSN, ExpStatSN: expStatSN}
		nop.Encode(&h)
		s.append(&h, nil)
	case !p.first:
		s.appendDataOut(p.task, p.order, expStatSN)
	case p.task.kind == kindPing:
		nop := iscsi.NOPOut{Immediate: true, ITT: p.task.itt, TTT: iscsi.ReservedTag,
			CmdSN: p.cmdSN, ExpStatSN: expStatSN}
		nop.Encode(&h)
		s.append(&h, nil)
	case p.task.kind == kindLogout:
		logout := iscsi.LogoutRequest{Immediate: true, Reason: iscsi.CloseSession, ITT: p.task.itt,
			CmdSN: p.cmdSN, ExpStatSN: expStatSN}
		logout.Encode(&h)
		s.append(&h, nil)
	default:
		s.appendCommand(p, expStatSN)
	}
}

func (s *Session) appendCommand(p *parcel, expStatSN iscsi.Serial) {
	t := p.task
	immediate := immediateLen(&s.params, len(t.DataOut))
	unsolicited := unsolicitedLen(&s.params, len(t.DataOut))
	command := iscsi.SCSICommand{
		Final:                      immediate == unsolicited,
		Read:                       len(t.DataIn) > 0,
		Write:                      len(t.DataOut) > 0,
		Attribute:                  iscsi.Simple,
		LUN:                        t.LUN,
		ITT:                        t.itt,
		ExpectedDataTransferLength: uint32(len(t.DataIn) + len(t.DataOut)),
		CmdSN:                      p.cmdSN,
		ExpStatSN:                  expStatSN,
		CDB:                        t.CDB,
	}
	var h iscsi.BHS
	command.Encode(&h)
	s.append(&h, t.DataOut[:immediate])
	if immediate < unsolicited {
		s.appendDataOut(t, order{itt: t.itt, ttt: iscsi.ReservedTag,
			offset: uint32(immediate), length: uint32(unsolicited - immediate)}, expStatSN)
	}
}

// appendDataOut adds one sequence of Data-Out PDUs.
func (s *Session) appendDataOut(t *Task, o order, expStatSN iscsi.Serial) {
	var h iscsi.BHS
	data := iscsi.DataOut{LUN: o.lun, ITT: o.itt, TTT: o.ttt, ExpStatSN: expStatSN}
	for sent := uint32(0); sent < o.length; data.DataSN++ {
		n := min(o.length-sent, s.params.MaxSendDataSegmentLength)
		data.BufferOffset = o.offset + sent
		data.Final = sent+n == o.length
		data.Encode(&h)
		s.append(&h, t.DataOut[data.BufferOffset:data.BufferOffset+n])
		sent += n
	}
}

// append adds one PDU. Long data is not copied: the parcel's reads keeps the task until the batch
// has been written.
func (s *Session) append(h *iscsi.BHS, data []byte) {
	if len(data) >= pinBytes {
		s.batch.AppendPinned(h, data)
		return
	}
	s.batch.Append(h, data)
}
