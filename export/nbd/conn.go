package nbd

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/netio"
)

// readerBytes is the size of a connection's read buffer: some dozens of requests, or a few small
// writes. What a payload has beyond it is read straight to where it goes.
const readerBytes = 64 << 10

// conn is one connection. Its reader goroutine owns everything that is not under mu, but for what belongs to whoever
// writes.
//
// Invariant: at most one goroutine writes, and writing says so.
type conn struct {
	server  *Server
	socket  net.Conn // what is closed and given deadlines
	stream  net.Conn // what is read: the socket, or what is encrypted on it
	reader  *bufio.Reader
	agreed  agreement
	holding bool        // the reader holds the plug
	demand  *tls.Config // the client has to begin TLS by it; nil = nobody asks for it

	writer   writer
	wake     chan struct{}  // holds one token when the goroutine of write is to go on; never full
	flushing sync.WaitGroup // flush under way; added to with mu held while the connection is not closed

	mu       sync.Mutex // protects what follows; never held across I/O
	room     sync.Cond  // the reader waits here for requests to end
	calls    int        // requests that are not answered
	bytes    int64      // cost of their parts
	replies  []reply    // to be written, in order of completion
	writing  bool       // somebody writes: he sees what is completed before he stops
	failure  error      // why a write failed
	closed   bool       // nothing more is written; what the queue still completes is forgotten
	stopped  bool       // the server ended the connection, at once or by draining
	draining bool       // take no further requests, answer those in flight

	secured *secured // nil without TLS, and before; written by the reader under the server's mutex
}

func newConn(s *Server, socket net.Conn, demand *tls.Config) *conn {
	c := &conn{server: s, socket: socket, stream: socket, reader: bufio.NewReaderSize(socket, readerBytes),
		demand: demand, wake: make(chan struct{}, 1)}
	c.room.L = &c.mu
	c.writer = writer{conn: c, sender: netio.NewSender(socket)}
	return c
}

// abort ends the connection at once, by the server's wish.
func (c *conn) abort() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.hangUp()
}

// hangUp closes the connection. It may be called several times.
func (c *conn) hangUp() {
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	c.mu.Unlock()
	_ = c.socket.Close() // it ends the reads and writes in progress; both report it
}

// fail hangs up because a write failed.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.failure == nil && !c.closed {
		c.failure = err
	}
	c.mu.Unlock()
	c.hangUp()
}

// drain lets the reader stop at the next request and the connection end when all is answered.
func (c *conn) drain() {
	c.mu.Lock()
	c.stopped, c.draining = true, true
	c.room.Broadcast()
	c.mu.Unlock()
	_ = c.socket.SetReadDeadline(time.Unix(1, 0)) // on a closed socket the reader has ended anyway
}

// serve does everything from the handshake to the end of the connection. An end that the client or
// the server wanted is no error.
func (c *conn) serve() error {
	defer c.hangUp()
	err := c.socket.SetDeadline(time.Now().Add(handshakeTimeout))
	if err == nil {
		var begin func() (io.ReadWriter, error)
		if c.demand != nil {
			begin = c.startTLS
		}
		c.agreed, err = handshake(c.both(), c.server.export, begin)
	}
	if errors.Is(err, errGoodbye) || err != nil && c.isDraining() {
		c.farewell()
	}
	if err == nil {
		err = c.socket.SetDeadline(time.Time{})
	}
	if err == nil {
		err = c.transmit()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || gone(err) {
		return nil
	}
	return err
}

// gone reports whether the client just went away, as a guest that is killed does.
func gone(err error) bool {
	return errors.Is(err, errGoodbye) || errors.Is(err, io.EOF) ||
		errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
}

// both reads through the buffer, since a client may send its first requests with its last option.
func (c *conn) both() io.ReadWriter {
	return struct {
		io.Reader
		io.Writer
	}{c.reader, c.stream}
}

// farewell tells a client that asked for the end, or whose requests are all answered, that this is it.
func (c *conn) farewell() {
	if c.secured != nil {
		c.secured.farewell()
	}
}

// transmit is the transmission phase: requests are read and submitted here, their replies written by whoever
// completes them, or by a goroutine that this function starts and waits for.
func (c *conn) transmit() error {
	if c.isDraining() { // between the handshake and here the deadline was taken back
		c.farewell()
		return nil
	}
	if c.secured != nil {
		c.secured.carrier.collect(true)
	}
	plug := c.server.o.Plug
	unplug := plug.Add(c.flush)
	defer unplug()
	var writer sync.WaitGroup
	stop := make(chan struct{})
	writer.Go(func() { c.write(stop) })
	err := c.readRequests()
	c.letGo()
	inOrder := errors.Is(err, errGoodbye) || c.isDraining()
	if inOrder {
		c.waitAnswered()
	} else {
		c.hangUp()
	}
	close(stop)
	writer.Wait()
	if inOrder {
		c.farewell()
	}
	c.hangUp() // nobody begins to write any more
	c.flushing.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, net.ErrClosed) && c.failure != nil {
		return c.failure // that closed the socket, which is all that the reader's error says
	}
	return err
}

// hold takes the plug while whole requests are buffered, and letGo gives it back before the reader waits for
// anything; only the reader calls them.
func (c *conn) hold() {
	if !c.holding {
		c.holding = true
		c.server.o.Plug.Hold()
	}
}

func (c *conn) letGo() {
	if c.holding {
		c.holding = false
		c.server.o.Plug.Release()
	}
}

// arrived reports whether a whole request is buffered, so that to read it does not wait.
func (c *conn) arrived() bool {
	if c.reader.Buffered() < requestBytes {
		return false
	}
	raw, err := c.reader.Peek(requestBytes)
	if err != nil {
		return false
	}
	r, err := parseRequest(raw)
	return err == nil && (r.Type != cmdWrite || int64(c.reader.Buffered()) >= requestBytes+int64(r.Length))
}

func (c *conn) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// readRequests returns errGoodbye after NBD_CMD_DISC.
func (c *conn) readRequests() error {
	for {
		if c.arrived() {
			c.hold()
		} else {
			c.letGo()
		}
		raw, err := c.reader.Peek(requestBytes)
		if err != nil {
			if len(raw) > 0 {
				return unexpected(err)
			}
			return err
		}
		r, err := parseRequest(raw)
		if err != nil {
			return err
		}
		if _, err := c.reader.Discard(requestBytes); err != nil {
			return err
		}
		if r.Type == cmdDisc {
			return errGoodbye
		}
		if err := c.begin(r); err != nil {
			return err
		}
	}
}

// begin takes one request up: it is refused, or split into parts and submitted. The error is of
// the connection, not of the request.
func (c *conn) begin(r request) error {
	if r.Type == cmdWrite && r.Length > MaxPayloadBytes {
		return fmt.Errorf("write of %d bytes, at most %d are possible", r.Length, MaxPayloadBytes)
	}
	if !c.enter() {
		return net.ErrClosed
	}
	k := c.server.pools.call()
	k.request = r
	err := c.perform(k)
	if err != nil {
		c.forget()
	}
	return err
}

func (c *conn) perform(k *call) error {
	span, errno := c.interpret(k)
	switch {
	case errno == 0 && k.op == block.OpFlush:
		k.pending = 1
		return c.submit(k, block.Range{})
	case errno == 0 && !span.Empty():
		return c.submitParts(k, span)
	}
	if k.request.Type == cmdWrite {
		if _, err := c.reader.Discard(int(k.request.Length)); err != nil {
			return unexpected(err)
		}
	}
	k.errno = errno
	c.answer(k)
	return nil
}

// interpret fills in what the request asks of the queue and checks it.
func (c *conn) interpret(k *call) (block.Range, uint32) {
	r := k.request
	known := cmdFlagFUA
	switch r.Type {
	case cmdRead:
		k.op = block.OpRead
		k.whole = !c.agreed.structured
	case cmdWrite:
		k.op = block.OpWrite
	case cmdFlush:
		k.op = block.OpFlush
	case cmdTrim:
		k.op, k.flags = block.OpZero, block.Unmap
	case cmdWriteZeroes:
		known |= cmdFlagNoHole
		k.op = block.OpZero
		if r.Flags&cmdFlagNoHole == 0 {
			k.flags = block.Unmap
		}
	default:
		return block.Range{}, errnoInval
	}
	if r.Flags&^known != 0 || r.Offset > 1<<62 || (k.op == block.OpRead && r.Length > MaxPayloadBytes) {
		return block.Range{}, errnoInval
	}
	if r.Flags&cmdFlagFUA != 0 && k.op.Changes() {
		k.flags |= block.FUA
	}
	span := block.Range{Off: int64(r.Offset), Len: int64(r.Length)}
	return span, errnoFor(k.op, c.server.o.Limits.Check(k.op, span, k.flags))
}

func (c *conn) submitParts(k *call, span block.Range) error {
	limits := c.server.o.Limits
	step := limits.MaxBytes &^ (limits.BlockBytes - 1)
	if k.op != block.OpZero {
		step = min(step, partBytesMax)
	}
	p := planFor(span, step)
	k.pending = p.count
	if k.whole && !c.reserve(span.Len) {
		return net.ErrClosed
	}
	for range p.count {
		if err := c.submit(k, p.next()); err != nil {
			return err
		}
	}
	return nil
}

// submit waits for room, reads a write's payload and hands the part to the queue.
func (c *conn) submit(k *call, r block.Range) error {
	q := c.server.pools.part()
	q.conn, q.call = c, k
	q.Op, q.Flags, q.Range = k.op, k.flags, r
	q.cost = zeroPartCost
	if k.op == block.OpRead || k.op == block.OpWrite {
		q.cost = r.Len
	}
	if !k.whole && !c.reserve(q.cost) {
		return net.ErrClosed
	}
	if k.op == block.OpRead || k.op == block.OpWrite {
		q.buffer = c.server.pools.buffers.get(int(r.Len))
		q.Data = q.buffer.data[:r.Len]
	}
	if k.op == block.OpWrite {
		if err := c.payload(q.Data); err != nil {
			return err
		}
	}
	if k.whole {
		k.parts = append(k.parts, q) // the reader owns it until the last part is submitted
	}
	c.server.o.Queue.Submit(&q.Request)
	return nil
}

// payload fills p: with what is buffered, then straight from the stream if much is missing.
func (c *conn) payload(p []byte) error {
	n := min(len(p), c.reader.Buffered())
	if len(p)-n < readerBytes/2 {
		n = len(p)
	}
	if _, err := io.ReadFull(c.reader, p[:n]); err != nil {
		return unexpected(err)
	}
	_, err := io.ReadFull(c.stream, p[n:])
	return unexpected(err)
}

// unexpected makes the end of the stream inside of a request an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
