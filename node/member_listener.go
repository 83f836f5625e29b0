package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// handshakeTimeout is how long another coordinator may take to show who it is.
	handshakeTimeout = 5 * time.Second
	// handshakesMax bounds how many connections may be about to show it. One more ends the oldest of them.
	handshakesMax = 64
)

// handshakeDeadline bounds one handshake.
func handshakeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, handshakeTimeout)
}

// memberListener hands on only connections that have shown whose they are. Raft keeps what it accepts for
// ever, with large buffers, and so a stranger must not get that far. Each connection has a goroutine of its
// own until then, so that a silent one keeps nobody waiting.
type memberListener struct {
	net.Listener
	security *tls.Config
	admit    func(tls.ConnectionState) error // asked when a handshake is over
	deadline func(context.Context) (context.Context, context.CancelFunc)
	log      *slog.Logger

	ctx     context.Context // ends when the listener is closed
	cancel  context.CancelFunc
	running sync.WaitGroup
	ready   chan net.Conn
	failed  chan error // why there are no more connections; closed afterwards

	mu         sync.Mutex // guards unfinished and open
	unfinished []net.Conn // oldest first
	open       map[*memberConn]struct{}
}

// memberConn is a connection that was handed on, until it is closed.
type memberConn struct {
	*tls.Conn
	from *memberListener
}

// Close closes the connection, which its listener no longer watches over.
func (c *memberConn) Close() error {
	c.from.mu.Lock()
	delete(c.from.open, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}

// newMemberListener takes l over; it accepts nothing before start.
func newMemberListener(l net.Listener, security *tls.Config, admit func(tls.ConnectionState) error,
	deadline func(context.Context) (context.Context, context.CancelFunc), log *slog.Logger) *memberListener {
	m := &memberListener{Listener: l, security: security, admit: admit, deadline: deadline, log: log,
		ready: make(chan net.Conn), failed: make(chan error, 1), open: map[*memberConn]struct{}{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// start begins to accept. What admit asks has to be there by now.
func (m *memberListener) start() { m.running.Go(m.run) }

// Accept returns the next connection whose handshake is over.
func (m *memberListener) Accept() (net.Conn, error) {
	select {
	case conn := <-m.ready:
		return conn, nil
	case err, ok := <-m.failed:
		if !ok {
			err = net.ErrClosed
		}
		return nil, err
	case <-m.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends the listener and all handshakes, not what Accept has returned. Nothing of them runs any more when it
// returns.
func (m *memberListener) Close() error {
	m.cancel()
	err := m.Listener.Close()
	m.running.Wait()
	return err
}

// acceptPause is how long the listener rests when the system has no connection to give, such as for want of
// file descriptors.
const acceptPause = 50 * time.Millisecond

func (m *memberListener) run() {
	defer close(m.failed)
	for {
		conn, err := m.Listener.Accept()
		if err == nil {
			m.begin(conn)
			m.running.Go(func() { m.shake(conn) })
			continue
		}
		if m.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			m.failed <- err
			return
		}
		m.log.Warn("a coordinator's connection was not accepted", "error", err)
		select {
		case <-m.ctx.Done():
		case <-time.After(acceptPause):
		}
	}
}

// begin notes a connection, and ends the oldest one when there are too many.
func (m *memberListener) begin(conn net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.unfinished) >= handshakesMax {
		_ = m.unfinished[0].Close()
		m.unfinished = m.unfinished[1:]
	}
	m.unfinished = append(m.unfinished, conn)
}

func (m *memberListener) end(conn net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, c := range m.unfinished {
		if c == conn {
			m.unfinished = append(m.unfinished[:i:i], m.unfinished[i+1:]...)
			return
		}
	}
}

// shake has a connection show whose it is, and hands it on or closes it.
func (m *memberListener) shake(conn net.Conn) {
	ctx, cancel := m.deadline(m.ctx)
	defer cancel()
	secure := tls.Server(conn, m.security)
	err := secure.HandshakeContext(ctx)
	m.end(conn)
	if err == nil {
		err = m.admit(secure.ConnectionState())
	}
	if err != nil {
		m.log.Debug("a connection to the coordinator is refused", "from", conn.RemoteAddr().String(), "error", err)
		_ = conn.Close()
		return
	}
	member := &memberConn{Conn: secure, from: m}
	m.mu.Lock()
	m.open[member] = struct{}{}
	m.mu.Unlock()
	select {
	case m.ready <- member:
	case <-m.ctx.Done():
		_ = member.Close()
	}
}

// review closes the open connections of those whom refused gives a reason against: a member's connection lasts,
// also when the member left the cluster long ago.
func (m *memberListener) review(refused func(tls.ConnectionState) error) {
	m.mu.Lock()
	open := slices.Collect(maps.Keys(m.open))
	m.mu.Unlock()
	for _, member := range open {
		if err := refused(member.ConnectionState()); err != nil {
			m.log.Info("a coordinator's connection is ended", "from", member.RemoteAddr().String(), "error", err)
			_ = member.NetConn().Close() // first, so that nothing waits to say goodbye
			_ = member.Close()
		}
	}
}
