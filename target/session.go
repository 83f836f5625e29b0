package target

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// session is an admitted login, or one that Admit is still deciding about. It has one connection.
// It implements SessionControl.
type session struct {
	server    *Server
	key       sessionKey
	tsih      uint16
	discovery bool
	conn      *conn
	params    iscsi.Params
	grant     Grant
	units     units
	nexus     scsi.Nexus
	since     time.Time

	// admitting ends when the session is killed, so that an Admit that waits for an older session
	// gives way to the login that replaces it.
	admitting context.Context
	giveUp    context.CancelFunc

	killOnce sync.Once
	ended    chan struct{} // closed when no command runs any more and Closed was called
}

// Kill implements SessionControl.
func (s *session) Kill(reason string) {
	s.killOnce.Do(func() {
		s.server.log.Info("session killed", "target", s.key.target, "initiator", s.key.initiator,
			"tsih", s.tsih, "cause", reason)
		// The gate first: when Kill returns nothing begins any more, however slow the reset is.
		s.conn.shutGate()
		s.giveUp()
		s.conn.reset()
	})
}

// enter makes s the session of its nexus. A session that already is, also one in Admit, is killed
// and enter waits until it has ended and none of its commands runs any more.
func (s *session) enter(ctx context.Context, tsih uint16) *Refusal {
	srv := s.server
	for {
		srv.mu.Lock()
		old := srv.sessions[s.key]
		if old == nil {
			if tsih != 0 {
				srv.mu.Unlock()
				return refuse(iscsi.LoginSessionDoesNotExist, "no session with this TSIH")
			}
			s.tsih = srv.newTSIH()
			srv.sessions[s.key] = s
			srv.mu.Unlock()
			return nil
		}
		srv.mu.Unlock()
		if tsih != 0 && tsih != old.tsih {
			return refuse(iscsi.LoginSessionDoesNotExist, "no session with this TSIH")
		}
		// With one connection a session, a connection that joins it can only replace the old one
		// (RFC 7143 §6.3.4); at error recovery level 0 that ends the tasks as a new session does.
		tsih = 0
		old.Kill("reinstated")
		select {
		case <-old.ended:
		case <-ctx.Done():
			return refuse(iscsi.LoginServiceUnavailable, "the session to reinstate has not drained")
		}
	}
}

// newTSIH returns a handle that no session has. The caller holds mu.
func (s *Server) newTSIH() uint16 {
	for {
		s.lastTSIH++
		if s.lastTSIH != 0 && !s.hasTSIH(s.lastTSIH) {
			return s.lastTSIH
		}
	}
}

func (s *Server) hasTSIH(tsih uint16) bool {
	for _, other := range s.sessions {
		if other.tsih == tsih {
			return true
		}
	}
	return false
}

// leave ends the session. No command of it runs any more.
func (s *session) leave() {
	s.giveUp()
	s.units.eachWatcher(func(w scsi.Watcher) { w.NexusLost(s.nexus) })
	if s.grant.Closed != nil {
		s.grant.Closed()
	}
	srv := s.server
	srv.mu.Lock()
	if srv.sessions[s.key] == s {
		delete(srv.sessions, s.key)
	}
	srv.mu.Unlock()
	close(s.ended)
}

// peers returns the sessions of this session's target, itself included.
func (s *session) peers() []*session {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	var all []*session
	for key, other := range s.server.sessions {
		if key.target == s.key.target {
			all = append(all, other)
		}
	}
	return all
}

func refuse(status iscsi.LoginStatus, reason string) *Refusal {
	return &Refusal{Class: status.Class(), Detail: status.Detail(), Reason: reason}
}
