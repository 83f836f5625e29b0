package target

import (
	"context"
	"math"
	"time"

	"github.com/holdfast-storage/holdfast/iscsi"
)

// askToLogOut asks every initiator to log out and waits until all have, or Options.Farewell or ctx has
// ended. Nobody can connect any more; who is in the middle of a login is not asked.
func (s *Server) askToLogOut(ctx context.Context) {
	if s.opts.Farewell == 0 {
		return
	}
	s.mu.Lock()
	var sessions []*conn
	for c := range s.conns {
		if c.serves() {
			sessions = append(sessions, c)
		}
	}
	s.mu.Unlock()
	if len(sessions) == 0 {
		return
	}
	for _, c := range sessions {
		c.postAsync(iscsi.Async{Event: iscsi.AsyncLogoutRequest, Parameter3: seconds(s.opts.Farewell)})
		c.watch.kick() // which flushes, and notices an initiator that does not read
	}
	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(gone)
	}()
	timer := time.NewTimer(s.opts.Farewell)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// sayDropped tells an initiator that did not log out that the target ends its session. The caller flushes.
func (c *conn) sayDropped() {
	if c.server.opts.Farewell == 0 || c.logout != nil || c.server.base.Err() == nil {
		return
	}
	p := &c.session.params
	c.postAsync(iscsi.Async{Event: iscsi.AsyncSessionDropped,
		Parameter2: uint16(p.DefaultTime2Wait), Parameter3: uint16(p.DefaultTime2Retain)})
}

func (c *conn) postAsync(pdu iscsi.Async) {
	var h iscsi.BHS
	pdu.Encode(&h)
	c.mu.Lock()
	c.post(&h, nil)
	c.mu.Unlock()
}

// seconds rounds up to whole seconds, as the protocol counts.
func seconds(d time.Duration) uint16 {
	return uint16(min((d+time.Second-1)/time.Second, math.MaxUint16))
}
