package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// controlBytesMax bounds what one control connection may say.
const controlBytesMax = 1 << 20

// controller serves the control socket. Whoever may open the socket may do all that it offers: its
// directory decides.
type controller struct {
	process  *process
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex // protects what follows
	conns   map[net.Conn]struct{}
	closing bool
}

// serveControl starts to answer on a listener. Close the controller.
func serveControl(p *process, l net.Listener) *controller {
	c := &controller{process: p, listener: l, conns: make(map[net.Conn]struct{})}
	c.running.Go(c.accept)
	return c
}

// close takes no further requests, lets those under way be answered, and waits for that.
func (c *controller) close() {
	c.mu.Lock()
	c.closing = true
	_ = c.listener.Close() // accept reports what is wrong with it
	for conn := range c.conns {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // ends the wait for a request, not an answer
	}
	c.mu.Unlock()
	c.running.Wait()
}

func (c *controller) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				c.process.log.Error("control socket cannot accept", "error", err)
				if c.process.sleep(50 * time.Millisecond) {
					continue
				}
			}
			return
		}
		c.mu.Lock()
		if c.closing {
			_ = conn.Close() // the daemon asks again, and finds nobody
		} else {
			c.conns[conn] = struct{}{}
			c.running.Go(func() { c.serve(conn) })
		}
		c.mu.Unlock()
	}
}

func (c *controller) serve(conn net.Conn) {
	defer func() {
		c.mu.Lock()
		delete(c.conns, conn)
		c.mu.Unlock()
		_ = conn.Close()
	}()
	out := json.NewEncoder(conn)
	if out.Encode(c.process.hello()) != nil {
		return // whoever asked has left
	}
	in := json.NewDecoder(io.LimitReader(conn, controlBytesMax))
	for {
		var r Request
		if err := in.Decode(&r); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
				_ = out.Encode(Response{Error: "request is no well-formed JSON of the known form"})
			}
			return
		}
		if out.Encode(c.process.answer(r)) != nil {
			return
		}
	}
}

func (p *process) hello() Hello {
	t := &p.start.Ticket
	return Hello{Version: ControlVersion, PID: os.Getpid(),
		Volume: t.Volume, Epoch: t.Epoch, AttachID: t.AttachID}
}

// answer does one request of the control socket.
func (p *process) answer(r Request) Response {
	switch r.Verb {
	case VerbStatus:
		s := p.status()
		return Response{Status: &s}
	case VerbMetrics:
		text, err := p.metrics()
		if err != nil {
			return failure(err)
		}
		return Response{Metrics: text}
	case VerbGuard, VerbGuardKill, VerbUnguard:
		if r.Guard == nil {
			return Response{Error: fmt.Sprintf("%s names no process", r.Verb)}
		}
		if (r.Verb == VerbGuardKill) != (len(r.Guard.Kill) > 0) {
			return Response{Error: fmt.Sprintf("%s with %d words of a kill command", r.Verb, len(r.Guard.Kill))}
		}
		if r.Verb == VerbUnguard {
			p.guards.remove(*r.Guard)
			return Response{}
		}
		return failure(p.guards.add(*r.Guard))
	case VerbCopy, VerbCopyHold, VerbCopyEnd, VerbCopyRelease, VerbCopyStop:
		return failure(p.copies.answer(r))
	case VerbDetach:
		return failure(p.requestDetach("the control socket"))
	}
	return Response{Error: fmt.Sprintf("verb %q is unknown", r.Verb)}
}

func failure(err error) Response {
	if err != nil {
		return Response{Error: err.Error()}
	}
	return Response{}
}
