package initiator

import (
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// The bounds of what is read.
const (
	readerBytes = 256 << 10
	// maxSenseBytes bounds the data segment of a SCSI Response; sense data has at most 252 bytes,
	// but some targets send response data after it.
	maxSenseBytes = 8192
)

// readLoop takes PDUs off the connection until it ends. From the first task that it completes it holds the plug while
// whole PDUs are buffered, so that what the completions bring about goes out together.
func (s *Session) readLoop() {
	defer s.workers.Done()
	defer s.letGo()
	var h iscsi.BHS
	for {
		if !s.in.Ready() {
			s.letGo()
		}
		_, err := s.in.Next(&h)
		if err == nil {
			err = s.dispatch(&h)
		}
		if err != nil {
			s.Abort(err)
			return
		}
	}
}

// hold takes the plug, which letGo gives back; only the reader calls them.
func (s *Session) hold() {
	if !s.holding {
		s.holding = true
		s.plug.Hold()
	}
}

func (s *Session) letGo() {
	if s.holding {
		s.holding = false
		s.plug.Release()
	}
}

// dispatch handles one PDU. An error ends the session: at error recovery level 0 nothing else can
// be done about a target that breaks the protocol (RFC 7143 §7.1.5).
func (s *Session) dispatch(h *iscsi.BHS) error {
	switch h.Opcode() {
	case iscsi.OpDataIn:
		return s.onDataIn(h)
	case iscsi.OpSCSIResponse:
		return s.onResponse(h)
	case iscsi.OpR2T:
		return s.onR2T(h)
	case iscsi.OpNOPIn:
		return s.onNOPIn(h)
	case iscsi.OpLogoutResponse:
		return s.onLogoutResponse(h)
	case iscsi.OpAsync:
		return s.onAsync(h)
	case iscsi.OpReject:
		p, err := iscsi.ParseReject(h)
		if err != nil {
			return err
		}
		return fmt.Errorf("target rejected a PDU: reason %#02x", byte(p.Reason))
	}
	return fmt.Errorf("unexpected PDU %#02x from the target", byte(h.Opcode()))
}

// errUnknownTask ends the session: an answer that belongs to no task cannot be trusted.
var errUnknownTask = errors.New("target answers a command that is not outstanding")

// command returns the outstanding command with this tag.
func (s *Session) command(itt uint32) (*Task, error) {
	t := s.tasks.find(itt)
	if t == nil || t.kind != kindCommand || t.answered {
		return nil, errUnknownTask
	}
	return t, nil
}

func (s *Session) onDataIn(h *iscsi.BHS) error {
	p, err := iscsi.ParseDataIn(h)
	if err != nil {
		return err
	}
	s.mu.Lock()
	t, err := s.command(p.ITT)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	// Data comes in order, as was negotiated. Received is the reader's own.
	n := h.DataLen()
	if int64(p.BufferOffset) != int64(t.Received) || n > len(t.DataIn)-t.Received {
		return fmt.Errorf("data-in [%d,+%d) does not follow %d of %d bytes",
			p.BufferOffset, n, t.Received, len(t.DataIn))
	}
	if err := s.in.ReadData(t.DataIn[t.Received : t.Received+n]); err != nil {
		return err
	}
	t.Received += n
	s.mu.Lock()
	s.window.update(p.ExpCmdSN, p.MaxCmdSN)
	if !p.HasStatus {
		s.unlockAndSignal()
		return nil
	}
	s.window.status(p.StatSN)
	t.Status = scsi.Status(p.Status)
	t.Residual = residual(p.Underflow, p.Overflow, p.Residual)
	s.finish(t)
	return nil
}

func (s *Session) onResponse(h *iscsi.BHS) error {
	p, err := iscsi.ParseSCSIResponse(h)
	if err != nil {
		return err
	}
	if h.DataLen() > len(s.sense) {
		return fmt.Errorf("SCSI Response with %d bytes of sense", h.DataLen())
	}
	data := s.sense[:h.DataLen()]
	if err := s.in.ReadData(data); err != nil {
		return err
	}
	sense, err := parseSense(data)
	if err != nil {
		return err
	}
	s.mu.Lock()
	t, err := s.command(p.ITT)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	s.window.update(p.ExpCmdSN, p.MaxCmdSN)
	s.window.status(p.StatSN)
	t.Status, t.Sense = scsi.Status(p.Status), sense
	t.Residual = residual(p.Underflow, p.Overflow, p.Residual)
	if p.Response != iscsi.CommandCompleted {
		t.Err = fmt.Errorf("target could not execute the command: response %#02x: %w",
			byte(p.Response), block.ErrFailed)
	}
	s.finish(t)
	return nil
}

func parseSense(data []byte) (scsi.Sense, error) {
	raw, err := iscsi.ParseSense(data)
	if err != nil || len(raw) == 0 {
		return scsi.Sense{}, err
	}
	return scsi.ParseSense(raw)
}

func residual(underflow, overflow bool, n uint32) int64 {
	switch {
	case underflow:
		return int64(n)
	case overflow:
		return -int64(n)
	}
	return 0
}

// finish completes a command that was answered, now or as soon as the writer has let go of it. It
// is called with mu held and gives it up.
func (s *Session) finish(t *Task) {
	// What was not moved was not moved, whatever the target says of it.
	moved := t.Received
	if len(t.DataOut) > 0 {
		moved = min(t.asked, t.sent)
	}
	if missing := int64(len(t.DataIn) + len(t.DataOut) - moved); missing > 0 {
		t.Residual = max(t.Residual, missing)
	}
	if t.busy > 0 {
		t.answered = true
		s.mu.Unlock()
		return
	}
	s.complete(t)
}

// unlockAndSignal gives mu up and wakes the writer if something waits: the window may have opened.
func (s *Session) unlockAndSignal() {
	more := s.waiting.first != nil || s.urgent.first != nil
	s.mu.Unlock()
	if more {
		s.signal()
	}
}

// complete takes a task out and hands it back. It is called by the reader, with mu held, and gives that up.
func (s *Session) complete(t *Task) {
	s.tasks.remove(t)
	s.hold()
	s.unlockAndSignal()
	t.Done(t)
}

func (s *Session) onR2T(h *iscsi.BHS) error {
	p, err := iscsi.ParseR2T(h)
	if err != nil {
		return err
	}
	s.mu.Lock()
	t, err := s.command(p.ITT)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	s.window.update(p.ExpCmdSN, p.MaxCmdSN)
	// R2Ts come in order too, so that what was asked for is what is not missing.
	offset, n := int64(p.BufferOffset), int64(p.DesiredDataTransferLength)
	if offset != int64(t.asked) || n > int64(len(t.DataOut)-t.asked) || n > int64(s.params.MaxBurstLength) {
		s.mu.Unlock()
		return fmt.Errorf("R2T for [%d,+%d) after %d of %d bytes", offset, n, t.asked, len(t.DataOut))
	}
	t.asked += int(n)
	s.orders = append(s.orders, order{itt: p.ITT, ttt: p.TTT, lun: p.LUN,
		offset: p.BufferOffset, length: p.DesiredDataTransferLength})
	s.mu.Unlock()
	s.signal()
	return nil
}

// maxOrders bounds the pings of a target that this side has not answered yet. It cannot ask for
// more data than there is, but it could ping without end and never read the answers.
const maxOrders = 1024

func (s *Session) onNOPIn(h *iscsi.BHS) error {
	p, err := iscsi.ParseNOPIn(h)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.window.update(p.ExpCmdSN, p.MaxCmdSN)
	if p.ITT != iscsi.ReservedTag {
		s.window.status(p.StatSN)
		return s.onUrgent(p.ITT, kindPing)
	}
	if p.TTT == iscsi.ReservedTag {
		s.unlockAndSignal()
		return nil
	}
	if len(s.orders) >= maxOrders {
		s.mu.Unlock()
		return errors.New("target pings without end")
	}
	s.orders = append(s.orders, order{itt: iscsi.ReservedTag, ttt: p.TTT, lun: p.LUN})
	s.mu.Unlock()
	s.signal()
	return nil
}

// onUrgent completes a ping or logout. It is called with mu held and gives it up.
func (s *Session) onUrgent(itt uint32, kind taskKind) error {
	t := s.tasks.find(itt)
	if t == nil || t.kind != kind {
		s.mu.Unlock()
		return errUnknownTask
	}
	s.complete(t)
	return nil
}

func (s *Session) onLogoutResponse(h *iscsi.BHS) error {
	p, err := iscsi.ParseLogoutResponse(h)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.window.update(p.ExpCmdSN, p.MaxCmdSN)
	s.window.status(p.StatSN)
	return s.onUrgent(p.ITT, kindLogout)
}

func (s *Session) onAsync(h *iscsi.BHS) error {
	p, err := iscsi.ParseAsync(h)
	if err != nil {
		return err
	}
	if p.Event != iscsi.AsyncSCSIEvent && p.Event != iscsi.AsyncVendorSpecific {
		// The target asks to log out, drops the session or has ended tasks: this session is over.
		return fmt.Errorf("target ends the session: asynchronous event %d", p.Event)
	}
	s.mu.Lock()
	s.window.update(p.ExpCmdSN, p.MaxCmdSN)
	s.window.status(p.StatSN)
	s.unlockAndSignal()
	return nil
}
