package target

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/iscsi"
)

// TracedPDU is one PDU of a session that is traced, without its data.
type TracedPDU struct {
	At     time.Time // when it was read, or made ready to be written
	Sent   bool      // by the target
	Header iscsi.BHS
	Missed uint64 // PDUs before it that were too many to keep up with
}

// ErrNoSession says that no session has the TSIH; ErrTraced that somebody else traces it.
var (
	ErrNoSession = errors.New("no such session")
	ErrTraced    = errors.New("the session is traced already")
)

// tracedMost is how many PDUs wait for a sink that is slower than the session.
const tracedMost = 4096

// tracer is what a connection hands its PDUs to while somebody looks.
type tracer struct {
	pdus   chan TracedPDU
	missed atomic.Uint64
	ended  chan struct{} // nothing more is written
}

// Trace hands the PDUs of a session to sink, from now on until ctx ends, the session ends or sink fails; it
// returns nil for the first two. A session is not slowed down by its trace: what sink does not keep up with
// is counted and left out. Wrong TSIHs are ErrNoSession, a second trace of one session is ErrTraced.
func (s *Server) Trace(ctx context.Context, tsih uint16, sink func(TracedPDU) error) error {
	c := s.withTSIH(tsih)
	if c == nil {
		return fmt.Errorf("%w: TSIH %d", ErrNoSession, tsih)
	}
	t := &tracer{pdus: make(chan TracedPDU, tracedMost), ended: c.silent}
	if !c.tracer.CompareAndSwap(nil, t) {
		return fmt.Errorf("%w: TSIH %d", ErrTraced, tsih)
	}
	defer c.tracer.Store(nil)
	for {
		select {
		case pdu := <-t.pdus:
			if err := sink(pdu); err != nil {
				return err
			}
		case <-t.ended:
			for len(t.pdus) > 0 {
				if err := sink(<-t.pdus); err != nil {
					return err
				}
			}
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// withTSIH returns the connection of the session with this handle. Discovery sessions have none of their own.
func (s *Server) withTSIH(tsih uint16) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.serves() && !c.session.discovery && c.session.tsih == tsih {
			return c
		}
	}
	return nil
}

// note hands a PDU to whoever looks.
func (c *conn) note(sent bool, h *iscsi.BHS) {
	t := c.tracer.Load()
	if t == nil {
		return
	}
	pdu := TracedPDU{At: time.Now(), Sent: sent, Header: *h, Missed: t.missed.Swap(0)}
	select {
	case t.pdus <- pdu:
	default:
		t.missed.Add(pdu.Missed + 1)
	}
}
