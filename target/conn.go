package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/netio"
)

// conn is one connection, from accept to its end.
//
// One goroutine at a time reads (the leader, see lead). Replies are posted by anyone under mu and
// written by whoever flushes. mu is never held across I/O or a call of a LogicalUnit.
type conn struct {
	server *Server
	raw    net.Conn
	sender *netio.Sender // of whoever writes, once in the full feature phase
	log    *slog.Logger

	// The leader's.
	reader *iscsi.Reader
	header iscsi.BHS
	ahs    []byte
	text   textExchange
	logout *iscsi.LogoutRequest // to be answered when all commands have ended

	session   *session    // set before the full feature phase
	inSession atomic.Bool // that phase has begun: others may look at session
	wg        sync.WaitGroup
	queue     chan *task    // to the workers; never full
	flusher   chan struct{} // wakes the goroutine of flushApart; nil until there is one. The leader's.
	over      chan error    // the last leader's farewell
	quick     quickness
	watch     watch

	tracer atomic.Pointer[tracer] // nil: nobody looks
	silent chan struct{}          // closed when nothing more is written, which is after the session has ended

	mu       sync.Mutex
	gateShut bool // no command begins to execute any more
	window   window
	statSN   iscsi.Serial
	tasks    map[uint32]*task // by Initiator Task Tag, until their reply is posted
	free     []*task
	extra    int // immediate commands among the tasks
	managing int // task management functions that are not answered
	workers  pool
	budget   budget
	lastTTT  uint32
	out      outbox
}

func newConn(s *Server, raw net.Conn) *conn {
	c := &conn{
		server: s,
		raw:    raw,
		log:    s.log.With("remote", raw.RemoteAddr().String()),
		sender: netio.NewSender(raw),
		reader: iscsi.NewReader(raw, readerBytes),
		tasks:  map[uint32]*task{},
		queue:  make(chan *task, s.opts.QueueDepth+immediateMax),
		over:   make(chan error, 1),
		silent: make(chan struct{}),
	}
	c.window.depth = s.opts.QueueDepth
	c.budget.init(c, s.opts)
	c.out.init(&c.mu)
	c.watch.init()
	return c
}

// serve runs the connection to its end. Nothing of it runs any more when serve returns.
func (c *conn) serve() {
	defer close(c.silent)
	defer c.raw.Close()
	_ = c.raw.SetDeadline(time.Now().Add(c.server.opts.LoginTimeout))
	ctx, cancel := context.WithTimeout(c.server.base, c.server.opts.LoginTimeout)
	defer cancel()
	if c.server.base.Err() != nil {
		return
	}
	s, err := c.login(ctx)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			c.server.sayStranger(c.log, "login failed", "cause", err.Error())
		}
		return
	}
	_ = c.raw.SetDeadline(time.Time{})
	c.begin(s)
	say := c.log.Info
	if s.discovery { // which proves nothing
		say = func(line string, args ...any) { c.server.sayStranger(c.log, line, args...) }
	}
	say("session begins", "target", s.key.target, "initiator", s.key.initiator, "tsih", s.tsih,
		"discovery", s.discovery, "header_digest", s.params.Digests.Header, "data_digest", s.params.Digests.Data)
	err = c.fullFeature()
	say("session ended", "target", s.key.target, "initiator", s.key.initiator, "tsih", s.tsih,
		"cause", err.Error())
}

// begin applies what the login settled.
func (c *conn) begin(s *session) {
	c.session = s
	s.since = time.Now()
	c.reader.SetDigests(s.params.Digests)
	c.reader.SetMaxData(int(s.params.MaxRecvDataSegmentLength))
	c.out.setDigests(s.params.Digests)
	c.text.buf.Limit = loginTextBytesMax
	c.inSession.Store(true)
}

// fullFeature runs the full feature phase and returns why it ended. When it returns no command runs and the
// session is over.
func (c *conn) fullFeature() error {
	c.wg.Go(c.lead)
	stopWatch := make(chan struct{})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		c.watchOver(stopWatch)
	}()
	if c.server.base.Err() != nil {
		c.retire() // Shutdown may have come between the login and now
	}
	err := <-c.over
	c.shutGate()
	close(c.queue)
	if c.flusher != nil {
		close(c.flusher)
	}
	c.wg.Wait()
	// Before the initiator hears of it: what the session held is free then, as a RESERVE(6).
	c.session.leave()
	if c.logout != nil {
		c.answerLogout()
	}
	c.sayDropped()
	// What executed to its end is still told, unless the connection was reset.
	c.flush()
	close(stopWatch)
	<-watching
	c.discard()
	return err
}

// shutGate keeps every command that has not begun from beginning.
func (c *conn) shutGate() {
	c.mu.Lock()
	c.gateShut = true
	c.budget.released.Broadcast()
	c.mu.Unlock()
}

// reset ends the connection at once; what is unsent is lost.
func (c *conn) reset() {
	if tcp, ok := c.raw.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.raw.Close()
}

// retire ends the connection after the commands that are executing.
func (c *conn) retire() { _ = c.raw.SetReadDeadline(time.Unix(1, 0)) }

// lead reads and handles PDUs until the connection ends or another goroutine has taken over.
func (c *conn) lead() {
	for {
		if !c.reader.Ready() || c.mustFlush() {
			c.flush()
			c.awaitRoom()
		}
		err := c.next()
		if err == errTakenOver {
			c.flush()
			return
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errors.New("the server shuts down")
			}
			c.over <- err
			return
		}
	}
}

// errTakenOver means that this goroutine is not the leader any more. It must not touch what is the
// leader's.
var errTakenOver = errors.New("another goroutine reads")

// errLoggedOut ends the connection after a Logout Request.
var errLoggedOut = errors.New("logout")

// next reads one PDU and handles it. An error ends the leader.
func (c *conn) next() (err error) {
	if c.ahs, err = c.reader.Next(&c.header); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	c.watch.heard.Add(1)
	c.note(false, &c.header)
	op := c.header.Opcode()
	if c.session.discovery && op != iscsi.OpTextRequest && op != iscsi.OpLogoutRequest &&
		op != iscsi.OpNOPOut {
		return c.rejectAndEnd(iscsi.RejectProtocolError, "opcode 0x%02x in a discovery session", byte(op))
	}
	switch op {
	case iscsi.OpSCSICommand:
		return c.handleCommand()
	case iscsi.OpDataOut:
		return c.handleDataOut()
	case iscsi.OpNOPOut:
		return c.handleNOPOut()
	case iscsi.OpTaskRequest:
		return c.handleTaskRequest()
	case iscsi.OpTextRequest:
		return c.handleText()
	case iscsi.OpLogoutRequest:
		return c.handleLogout()
	}
	return c.handleOther(op)
}

// accept judges the CmdSN of the current PDU, which is no SCSI Command. taken is false when the PDU
// is to be ignored.
func (c *conn) accept() (taken bool, err error) {
	if c.header.Immediate() {
		return true, nil
	}
	c.mu.Lock()
	v := c.window.accept(c.header.CmdSN())
	exp := c.window.expected()
	c.mu.Unlock()
	if v == broken {
		return false, c.cmdSNGap(exp)
	}
	return v == take, nil
}

func (c *conn) cmdSNGap(exp iscsi.Serial) error {
	return fmt.Errorf("%w: CmdSN %d where %d is next", errProtocol, c.header.CmdSN(), exp)
}
