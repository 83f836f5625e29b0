package leg

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Session is what one admitted login may use: the leg as a block.Device, and the in-band commands.
// Each request passes the gate right before it reaches the data.
//
// Requests of a session that a newer epoch fenced end with block.ErrFenced; those of a session that
// ended otherwise with block.ErrClosed; I/O before CONFIG with ErrNotAdmitted.
type Session struct {
	leg   *Leg
	id    SessionID
	login Login
	once  sync.Once
}

var _ block.Device = (*Session)(nil)

// Login returns the login that was admitted.
func (s *Session) Login() Login { return s.login }

// Limits returns the leg's limits.
func (s *Session) Limits() block.Limits { return s.leg.limits }

// Close ends the session: later requests end with block.ErrClosed, those in flight go on. It must be
// called in the end, also after a kill, once the owner makes no request any more.
func (s *Session) Close() error {
	s.once.Do(func() {
		l := s.leg
		l.mu.Lock()
		delete(l.kills, s.id)
		l.core.SessionClosed(s.id)
		l.unlockAndDo()
	})
	return nil
}

// Read fills p from off. A block that is not what was written last, or that the medium cannot read, is a
// block.ErrMedium that names it; its bytes are never served.
func (s *Session) Read(ctx context.Context, p []byte, off int64) error {
	ticket, err := s.begin(ctx, block.OpRead, block.Range{Off: off, Len: int64(len(p))}, 0)
	if err != nil {
		return err
	}
	if j := s.leg.staged; j != nil {
		return s.finish(ticket, j.Read(ctx, p, off))
	}
	return s.finish(ticket, s.leg.data.Read(ctx, p, off))
}

// Write stores p at off. The mark that covers it is durable before. On a leg of parity it goes around the journal, for
// copies and what mends a block: where a record that is not freed touches it, it is ErrInvalid.
func (s *Session) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	ticket, err := s.begin(ctx, block.OpWrite, block.Range{Off: off, Len: int64(len(p))}, f)
	if err != nil {
		return err
	}
	r := block.Range{Off: off, Len: int64(len(p))}
	return s.finish(ticket, s.durable(f, s.direct(ctx, r, func() error {
		return s.leg.data.Write(ctx, p, off, f&^block.FUA)
	})))
}

// Zero makes r read as zeroes. On a leg of parity it is like Write.
func (s *Session) Zero(ctx context.Context, r block.Range, f block.Flags) error {
	ticket, err := s.begin(ctx, block.OpZero, r, f)
	if err != nil {
		return err
	}
	return s.finish(ticket, s.durable(f, s.direct(ctx, r, func() error {
		return s.leg.data.Zero(ctx, r, f&^block.FUA)
	})))
}

// Flush returns when every write that completed before it is on stable storage, and on a leg of parity every record:
// that is, in the journal, not at home.
func (s *Session) Flush(ctx context.Context) error {
	ticket, err := s.begin(ctx, block.OpFlush, block.Range{}, 0)
	if err != nil {
		return err
	}
	if j := s.leg.staged; j != nil {
		return s.finish(ticket, j.Flush())
	}
	return s.finish(ticket, s.leg.syncs.do())
}

// direct runs a change of the data. Closures cost a mirror nothing: they do not leave the stack.
func (s *Session) direct(ctx context.Context, r block.Range, change func() error) error {
	if j := s.leg.staged; j != nil {
		return j.Direct(ctx, r, change)
	}
	return change()
}

// durable makes a change durable where its flags or the leg's durability class ask for it. In class sync that
// holds for a change that failed too: what its blocks hold is settled before it is answered, since nobody may
// send it again, and without a sync a power cut could leave "under way" of blocks that were acknowledged long ago.
func (s *Session) durable(f block.Flags, err error) error {
	switch {
	case errors.Is(err, block.ErrFailed), errors.Is(err, block.ErrClosed):
		return err
	case !s.leg.limits.Volatile, err == nil && f&block.FUA != 0:
		return errors.Join(err, s.leg.syncs.do())
	}
	return err
}

// begin checks a request and takes it through the gate; after a nil error finish must follow.
func (s *Session) begin(ctx context.Context, op block.Op, r block.Range, f block.Flags) (Ticket, error) {
	err := s.leg.limits.Check(op, r, f)
	if err == nil && r.Len > s.leg.limits.MaxBytes && op != block.OpZero {
		err = block.ErrOutOfRange
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Ticket{}, fmt.Errorf("leg %s: %s %s: %w", s.leg.id, op, r, err)
	}
	return s.enter(ctx, op.Changes(), r, nil)
}

// enter passes the gate, making the mark durable first where a change needs it. allowed, if there is one, is
// asked under the leg's lock each time before the gate is.
func (s *Session) enter(ctx context.Context, changes bool, r block.Range, allowed func() error) (Ticket, error) {
	l := s.leg
	for {
		var ticket Ticket
		var verdict Verdict
		var err error
		l.mu.Lock()
		if allowed != nil {
			err = allowed()
		}
		if err == nil {
			ticket, verdict, err = l.core.Enter(s.id, changes, r)
		}
		l.mu.Unlock()
		switch verdict {
		case Admit:
			return ticket, nil
		case NeedMark:
			reply, waitErr := l.wait(ctx, func(op OpID) { l.core.markIf(allowed, op, s.id, r) })
			if err = errors.Join(waitErr, reply.Err); err != nil {
				return Ticket{}, err
			}
		default:
			return Ticket{}, err
		}
	}
}

// finish leaves the gate. A failure of the medium that loses writes fails the leg for good first, so
// that nothing is acknowledged after it, nor is what was in flight when another request failed it.
func (s *Session) finish(t Ticket, err error) error {
	l := s.leg
	if err != nil && !errors.Is(err, block.ErrMedium) && errors.Is(err, block.ErrFailed) {
		l.fail(err)
	}
	if failed := s.leave(t); err == nil {
		return failed
	}
	return fmt.Errorf("leg %s: %w", l.id, err)
}

// leave returns why the leg has failed meanwhile, nil if it is well.
func (s *Session) leave(t Ticket) error {
	l := s.leg
	l.mu.Lock()
	l.core.Leave(t)
	if l.stopped && l.core.Inflight() == 0 {
		close(l.drained)
	}
	failed := l.core.Failed()
	l.unlockAndDo()
	return failed
}

// Report returns what READ LABEL answers.
func (s *Session) Report() (volume.LegReport, error) {
	s.leg.mu.Lock()
	defer s.leg.mu.Unlock()
	return s.leg.core.ReportTo(s.id)
}
