package nbd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/plug"
	"github.com/holdfast-storage/holdfast/netio"
)

// Defaults of Options.
const (
	defaultInFlightBytes    = 8 << 20
	defaultInFlightRequests = 256
	defaultConnections      = 64
	defaultStrangers        = 32
)

// preferredBytes is the unit that clients are advised to use.
const preferredBytes = 4096

// acceptPause is how long a listener rests that had no connection to give.
const acceptPause = 50 * time.Millisecond

// handshakeTimeout ends a connection whose client does not get on with its handshake.
const handshakeTimeout = 10 * time.Second

// Options configures a Server.
type Options struct {
	Queue  block.Queue  // does the requests; it must outlive them, not the server
	Limits block.Limits // of what is behind Queue
	Name   string       // of the export, at most 4096 bytes; clients may also ask for ""
	Alias  string       // another name that clients may ask for, which is not listed; "" = none

	// InFlightBytes bounds the payload that one connection has in flight; zero means 8 MiB. One
	// request is always let in, however long it is.
	InFlightBytes int64
	// InFlightRequests bounds the requests of one connection that are not answered; zero means 256.
	InFlightRequests int
	// Connections bounds the connections; further ones are closed at once. Zero means 64.
	Connections int
	// Strangers bounds the connections of ServeTLS whose clients have not shown who they are; one more ends the
	// oldest from where the most come. They do not count as Connections. Zero means 32.
	Strangers int

	// Plug is held while a burst of requests is submitted, and while somebody holds it no reply is written; exports
	// and sessions that share requests share it. nil = the server has one of its own.
	Plug *plug.Plug

	// Waits bounds the connections that wait for requests in the kernel; nil = none does.
	Waits *netio.Waits

	Logger *slog.Logger // connections that broke the protocol; nil is silent
}

// Server offers one export to any number of connections. It is safe for use by many goroutines.
type Server struct {
	o      Options
	export exportInfo
	log    *slog.Logger
	pools  pools

	mu         sync.Mutex // protects what follows
	listeners  map[net.Listener]struct{}
	conns      map[*conn]struct{}
	strangers  []*conn   // those of conns that TLS has to make known yet, the oldest first
	complained time.Time // when a stranger was logged last
	closing    bool

	running sync.WaitGroup // connections
}

// NewServer checks the options. Nothing is listened on before Serve.
func NewServer(o Options) (*Server, error) {
	if o.InFlightBytes == 0 {
		o.InFlightBytes = defaultInFlightBytes
	}
	if o.InFlightRequests == 0 {
		o.InFlightRequests = defaultInFlightRequests
	}
	if o.Connections == 0 {
		o.Connections = defaultConnections
	}
	if o.Strangers == 0 {
		o.Strangers = defaultStrangers
	}
	if o.Plug == nil {
		o.Plug = &plug.Plug{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := o.Limits
	switch {
	case o.Queue == nil:
		return nil, errors.New("NBD export: no queue given")
	case max(len(o.Name), len(o.Alias)) > nameBytesMax:
		return nil, fmt.Errorf("NBD export: name of %d bytes, at most %d are possible",
			max(len(o.Name), len(o.Alias)), nameBytesMax)
	case o.InFlightBytes < 0 || o.InFlightRequests < 0 || min(o.Connections, o.Strangers) < 0:
		return nil, errors.New("NBD export: a negative bound")
	case l.BlockBytes < 1 || l.BlockBytes&(l.BlockBytes-1) != 0 || l.BlockBytes > 64<<10:
		return nil, fmt.Errorf("NBD export: block of %d bytes, want a power of two up to 64 KiB",
			l.BlockBytes)
	case l.SizeBytes < 0 || l.SizeBytes%l.BlockBytes != 0 || l.MaxBytes < l.BlockBytes:
		return nil, fmt.Errorf("NBD export: size %d and longest request %d do not fit blocks of %d bytes",
			l.SizeBytes, l.MaxBytes, l.BlockBytes)
	}
	return &Server{o: o, export: describe(o), log: o.Logger,
		listeners: make(map[net.Listener]struct{}), conns: make(map[*conn]struct{})}, nil
}

func describe(o Options) exportInfo {
	flags := flagHasFlags | flagSendFlush | flagSendFUA | flagCanMultiConn
	if o.Limits.ReadOnly {
		flags |= flagReadOnly
	} else {
		flags |= flagSendWriteZeroes
	}
	if o.Limits.CanUnmap && !o.Limits.ReadOnly { // else a guest that discards the whole disk would write all of it
		flags |= flagSendTrim
	}
	return exportInfo{
		Name:           o.Name,
		Alias:          o.Alias,
		SizeBytes:      uint64(o.Limits.SizeBytes),
		Flags:          flags,
		MinBytes:       uint32(o.Limits.BlockBytes),
		PreferredBytes: uint32(max(preferredBytes, o.Limits.BlockBytes)),
		MaxBytes:       MaxPayloadBytes,
	}
}

// Listen listens on a unix socket that only its owner can use. A socket that a process before left
// behind is removed first; one that somebody still answers on is an error, as is any other file.
func Listen(path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	case info.Mode().Type() != os.ModeSocket:
		return nil, fmt.Errorf("listen on %s: it exists and is no socket", path)
	default:
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close() // it has shown that somebody answers
			return nil, fmt.Errorf("listen on %s: %w", path, unix.EADDRINUSE)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen on %s: stale socket: %w", path, err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Serve accepts connections until the server or the listener is closed, and closes the listener.
// It returns nil if the server was closed. What else goes wrong with a connection ends nothing.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, nil) }

func (s *Server) serve(l net.Listener, demand *tls.Config) error {
	if !s.add(l) {
		return l.Close()
	}
	defer s.drop(l)
	for {
		socket, err := l.Accept()
		if err != nil {
			if s.isClosing() {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("NBD export %s: %w", s.o.Name, err)
			}
			// No descriptor or no memory is free, or the connection was lost again: that passes, and the clients that
			// are connected go on.
			s.log.Warn("NBD export cannot accept", "export", s.o.Name, "error", err)
			time.Sleep(acceptPause)
			continue
		}
		direct, err := netio.Direct(socket, s.o.Waits)
		if err != nil {
			s.log.Warn("NBD connection dropped", "export", s.o.Name, "cause", err)
			time.Sleep(acceptPause)
			continue
		}
		s.start(direct, demand)
	}
}

// Close drops every connection at once: requests in flight are done by the queue, but no longer
// answered. It returns when every goroutine of the server has ended.
func (s *Server) Close() error {
	s.stop(func(c *conn) { c.abort() })
	s.running.Wait()
	return nil
}

// Shutdown takes no further requests, answers those in flight and then closes the connections. If
// ctx ends first, it closes them at once and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop(func(c *conn) { c.drain() })
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		s.stop(func(c *conn) { c.abort() })
		<-ended
		return ctx.Err()
	}
}

// Connections returns how many clients are connected.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) stop(end func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for l := range s.listeners {
		_ = l.Close() // Serve reports a listener that fails on its own
	}
	for c := range s.conns {
		end(c)
	}
}

func (s *Server) add(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.listeners[l] = struct{}{}
	}
	return !s.closing
}

func (s *Server) drop(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	_ = l.Close() // closed already, or of no use any more
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) start(socket net.Conn, demand *tls.Config) {
	c := newConn(s, socket, demand)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || (demand == nil && s.full()) {
		_ = socket.Close() // the client sees the end of the stream, which says all
		return
	}
	s.conns[c] = struct{}{}
	if demand != nil {
		s.welcome(c)
	}
	s.running.Go(func() {
		if err := c.serve(); err != nil {
			s.complain(c, err)
		}
		s.mu.Lock()
		delete(s.conns, c)
		s.forget(c)
		s.mu.Unlock()
	})
}

// full reports whether no other client may be served; mu is held.
func (s *Server) full() bool {
	known := 0
	for c := range s.conns {
		if c.demand == nil || c.secured != nil {
			known++
		}
	}
	return known >= s.o.Connections
}
