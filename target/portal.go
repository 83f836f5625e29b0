package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
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
		if err == nil {
			pause = 5 * time.Millisecond
			s.accept(raw)
			continue
		}
		if s.base.Err() != nil {
			return nil
		}
		// Accept also fails when the process is out of file descriptors; that passes.
		if errors.Is(err, net.ErrClosed) {
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
	c := newConn(s, raw)
	s.mu.Lock()
	full := len(s.conns) >= s.opts.MaxConnections
	if full || s.closing {
		s.mu.Unlock()
		_ = raw.Close()
		if full {
			s.log.Warn("connection refused: too many", "remote", raw.RemoteAddr().String(),
				"most", s.opts.MaxConnections)
		}
		return
	}
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.wg.Done()
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}
