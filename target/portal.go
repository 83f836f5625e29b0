package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/netio"
)

// Listen opens a portal on a TCP address, "host:port". It is a convenience for callers that have no
// listener of their own.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open portal %s: %w", address, err)
	}
	return l, nil
}

// Serve accepts connections on l until Shutdown, then returns nil. It returns the error if accepting
// fails for good. Several listeners may be served at once: they are one portal group. It closes l.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.addListener(l) {
		return nil
	}
	defer s.removeListener(l)
	const longestPause = time.Second
	pause := 5 * time.Millisecond
	for {
		raw, err := l.Accept()
		taken := err == nil
		if taken {
			raw, err = netio.Direct(raw, s.opts.Waits)
		}
		if err == nil {
			pause = 5 * time.Millisecond
			s.accept(raw)
			continue
		}
		if s.isClosing() {
			return nil
		}
		// Either also fails when the process is out of file descriptors; that passes.
		if !taken && errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("portal %s: %w", l.Addr(), err)
		}
		s.log.Warn("portal does not accept", "portal", l.Addr().String(), "cause", err.Error())
		select {
		case <-time.After(pause):
			pause = min(2*pause, longestPause)
		case <-s.base.Done():
			return nil
		}
	}
}

// accept serves one connection in a goroutine of its own, unless there are too many.
func (s *Server) accept(raw net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		_ = raw.Close()
		return
	}
	if len(s.conns) >= s.opts.MaxConnections {
		_ = raw.Close()
		s.sayTooMany(raw, "it came last", s.opts.MaxConnections)
		return
	}
	if len(s.logins) >= s.opts.MaxLogins {
		// A login takes a moment; who has not finished while so many others came is hardly going to.
		s.logins[0].reset()
		s.sayTooMany(s.logins[0].raw, "it has not logged in", s.opts.MaxLogins)
		s.logins = slices.Delete(s.logins, 0, 1)
	}
	c := newConn(s, raw)
	s.conns[c] = struct{}{}
	s.logins = append(s.logins, c)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		c.serve()
		s.noLogin(c)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

// noLogin says that a connection has proved itself, if it has to, or has ended.
func (s *Server) noLogin(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.logins, c); i >= 0 {
		s.logins = slices.Delete(s.logins, i, i+1)
	}
}

// sayTooMany logs that a connection was ended because there are too many, once a second at most. The caller
// holds mu.
func (s *Server) sayTooMany(raw net.Conn, why string, most int) {
	if now := time.Now(); now.Sub(s.refused) >= time.Second {
		s.refused = now
		s.log.Warn("connection refused: too many", "remote", raw.RemoteAddr().String(), "cause", why, "most", most)
	}
}
