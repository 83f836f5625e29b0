package target

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/iscsi"
)

// Server is an iSCSI target node: any number of targets behind one portal group. Its methods are
// safe for use by many goroutines.
type Server struct {
	opts    Options
	log     *slog.Logger
	buffers bufferPool
	memory  memory

	strangers strangers

	// base ends when Shutdown begins; logins in progress give up then.
	base context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup // a goroutine for each connection

	mu        sync.Mutex // never held across I/O or a call of Admission
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	logins    []*conn                 // of them, those that have not logged in, and those for discovery, oldest first
	refused   time.Time               // when it was last said that there are too many
	sessions  map[sessionKey]*session // also those whose login is in Admit
	lastTSIH  uint16
}

// sessionKey is what makes a session the same one again (RFC 7143 §4.4.3.2): the I_T nexus.
type sessionKey struct {
	target, initiator string
	isid              iscsi.ISID
}

// New returns a server that nobody can reach yet: call Serve. It returns all faults of the options.
func New(opts Options) (*Server, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		opts:      opts,
		log:       opts.Logger,
		listeners: map[net.Listener]struct{}{},
		conns:     map[*conn]struct{}{},
		sessions:  map[sessionKey]*session{},
	}
	s.memory.init(opts)
	s.base, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Shutdown closes the portals, asks initiators to log out if Options.Farewell says so, lets commands that are
// executing finish and sends their replies, ends all sessions and waits until every goroutine is gone. If ctx
// ends first, connections are reset and Shutdown returns ctx's error; commands stuck in a device may then still
// run.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Unlock()
	s.askToLogOut(ctx)
	s.mu.Lock()
	s.stop()
	for c := range s.conns {
		c.retire()
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.reset()
	}
	s.mu.Unlock()
	return ctx.Err()
}

// Close ends the server at once: portals are closed and connections reset. When it returns, no further command begins
// to execute, and nothing more is answered. It does not wait for commands that are executing; Wait does.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		_ = l.Close() // Serve reports a portal that fails on its own
	}
	s.stop()
	conns := slices.Collect(maps.Keys(s.conns)) // no more come
	s.mu.Unlock()
	for _, c := range conns {
		c.shutGate()
		c.reset()
	}
	return nil
}

// Wait waits until every connection has ended and none of their commands runs any more. Close or Shutdown has begun.
func (s *Server) Wait() { s.wg.Wait() }

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
}
