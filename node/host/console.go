package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain"
)

// The bounds of a console.
const (
	consoleChunk   = 4 << 10         // bytes that are passed on at once
	consoleBacklog = 64              // chunks that its user may be behind
	consoleSettle  = 2 * time.Second // for the one before to be gone
	consoleLook    = 20 * time.Millisecond
	typePatience   = 2 * time.Second // for the guest to read what is typed
)

// ConsoleUse says who wants a guest's console.
type ConsoleUse struct {
	Domain  string
	Session string // chosen by the user's client
	User    string // in words
	Take    bool   // send away whoever has it
}

// consoles are the conversations with guests, at the most one for each domain.
type consoles struct {
	mu   sync.Mutex // protects open
	open map[string]*conversation
}

// conversation is one user at the console of a guest.
type conversation struct {
	use   ConsoleUse
	since time.Time
	leave context.CancelCauseFunc
	gone  chan struct{} // closed when nothing of it is left

	mu   sync.Mutex // protects what follows; held while the guest reads what is typed
	conn net.Conn   // nil before there is one
	next uint64     // how many bytes the session has typed
	told bool       // next is known
}

// Console lets one user at the console of a guest that runs here. say gets nothing at first, once the console is open,
// and then what the guest writes. It returns why it is over: always an error. A user who does not take what there is
// loses the console, since the guest must not wait for one.
func (h *Host) Console(ctx context.Context, use ConsoleUse, say func([]byte) error) error {
	consoler, err := h.consoler(ctx, use.Domain)
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	c := &conversation{use: use, since: time.Now(), leave: leave, gone: make(chan struct{})}
	if err := h.consoles.enter(ctx, c); err != nil {
		return err
	}
	defer h.consoles.exit(c)
	conn, err := connect(ctx, consoler)
	if errors.Is(err, domain.ErrConsoleTaken) {
		return api.Errorf(api.CodeBusy, "domain/"+use.Domain, "end what is connected to that socket on this host", "%s",
			err)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	h.options.Logger.Info("console opened", "domain", use.Domain, "user", use.User)
	defer h.options.Logger.Info("console closed", "domain", use.Domain, "user", use.User)
	if err := say(nil); err != nil {
		return err
	}
	return c.pass(ctx, conn, say)
}

// consoler returns the guest of a domain, if it runs here and has a console.
func (h *Host) consoler(ctx context.Context, name string) (domain.Consoler, error) {
	found := make(chan domain.Process, 1)
	h.post(func() { found <- h.guests[name].process })
	var process domain.Process
	select {
	case process = <-found:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.life.Done():
		return nil, errors.New("this node's daemon is about to end")
	}
	object := "domain/" + name
	if process == nil || process.State().Phase.Ended() {
		return nil, api.Errorf(api.CodeFailed, object, "holdfast domain show "+name,
			"no guest of domain %s runs on its host", name)
	}
	consoler, ok := process.(domain.Consoler)
	if !ok {
		return nil, api.Errorf(api.CodeInvalid, object, "what it writes is in "+domain.LogPath(process.Order().Dir),
			"domain %s is of the driver %s, whose guests have no console", name, process.Order().Driver)
	}
	return consoler, nil
}

// enter makes a conversation the one of its domain, or says who has the console. The same session comes back to its
// own; with Take another one is sent away.
func (all *consoles) enter(ctx context.Context, c *conversation) error {
	for {
		all.mu.Lock()
		before := all.open[c.use.Domain]
		if before == nil {
			all.open[c.use.Domain] = c
			all.mu.Unlock()
			return nil
		}
		all.mu.Unlock()
		switch {
		case before.use.Session == c.use.Session:
			before.leave(errors.New("the same session opened it again"))
		case c.use.Take:
			before.leave(api.Errorf(api.CodeRefused, "domain/"+c.use.Domain, "", "%s took the console of domain %s",
				c.use.User, c.use.Domain))
		default:
			return api.Errorf(api.CodeBusy, "domain/"+c.use.Domain, "ask them to leave it, or take it with --take",
				"the console of domain %s is used by %s since %s", c.use.Domain, before.use.User,
				before.since.UTC().Format(time.DateTime+" MST"))
		}
		select {
		case <-before.gone:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if before.use.Session == c.use.Session { // not earlier: until it is gone it may be typed on
			before.mu.Lock()
			c.next, c.told = before.next, before.told
			before.mu.Unlock()
		}
	}
}

func (all *consoles) exit(c *conversation) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.open, c.use.Domain)
	close(c.gone)
}

// connect connects with a console. The one before may just have left it.
func connect(ctx context.Context, to domain.Consoler) (net.Conn, error) {
	over := time.After(consoleSettle)
	look := time.NewTicker(consoleLook)
	defer look.Stop()
	for {
		conn, err := to.Console(ctx)
		if !errors.Is(err, domain.ErrConsoleTaken) {
			return conn, err
		}
		select {
		case <-look.C:
		case <-over:
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// pass hands on what the guest writes.
func (c *conversation) pass(ctx context.Context, conn net.Conn, say func([]byte) error) error {
	chunks := make(chan []byte, consoleBacklog)
	ended := make(chan error, 1)
	go func() { ended <- c.read(conn, chunks) }()
	defer func() {
		_ = conn.Close() // ends read
		<-ended
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case chunk, more := <-chunks:
			if !more {
				err := <-ended
				ended <- nil // for the deferred look
				return err
			}
			if err := say(chunk); err != nil {
				return err
			}
		}
	}
}

// read reads what the guest writes until the console ends or its user is too far behind. Then it closes both: a guest
// whose words nobody reads is held up by them.
func (c *conversation) read(conn net.Conn, chunks chan<- []byte) error {
	defer close(chunks)
	defer conn.Close()
	object := "domain/" + c.use.Domain
	for {
		chunk := make([]byte, consoleChunk)
		n, err := conn.Read(chunk)
		if n > 0 {
			select {
			case chunks <- chunk[:n]:
			default:
				return api.Errorf(api.CodeFailed, object, "open it again; what the guest wrote is in its console.log",
					"the console of domain %s was closed: its user did not take what the guest writes", c.use.Domain)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return api.Errorf(api.CodeFailed, object, "", "the guest of domain %s has ended", c.use.Domain)
		}
		if err != nil {
			return fmt.Errorf("console of domain %s: %w", c.use.Domain, err)
		}
	}
}

// TypeConsole types on the console of a guest, for the session that has it. What it typed before, as at says, is left
// out.
func (h *Host) TypeConsole(name string, r api.TypeConsole) error {
	h.consoles.mu.Lock()
	c := h.consoles.open[name]
	h.consoles.mu.Unlock()
	if c == nil || c.use.Session != r.Session {
		return api.Errorf(api.CodeBusy, "domain/"+name, "open it first", "the console of domain %s is not open for "+
			"who types", name)
	}
	return c.typeOn(r)
}

func (c *conversation) typeOn(r api.TypeConsole) error {
	object := "domain/" + c.use.Domain
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return api.Errorf(api.CodeBusy, object, "type again", "the console of domain %s is about to open", c.use.Domain)
	}
	if !c.told {
		c.next, c.told = r.At, true
	}
	if r.At > c.next { // what is between was refused, and its user was told
		c.next = r.At
	}
	data := r.Data[min(c.next-r.At, uint64(len(r.Data))):]
	err := c.conn.SetWriteDeadline(time.Now().Add(typePatience))
	n := 0
	if err == nil {
		n, err = c.conn.Write(data)
	}
	c.next += uint64(n)
	if err != nil {
		return api.Errorf(api.CodeFailed, object, "holdfast domain show "+c.use.Domain,
			"the guest of domain %s does not read what is typed: %s", c.use.Domain, err)
	}
	return nil
}
