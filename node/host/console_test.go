package host

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain"
)

// talker is a guest with a console, of which the test has the other end.
type talker struct {
	process
	mu   sync.Mutex // protects busy
	busy int        // how often somebody else has it still
	ends chan net.Conn
}

func (g *talker) Console(context.Context) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy > 0 {
		g.busy--
		return nil, domain.ErrConsoleTaken
	}
	ours, theirs := net.Pipe()
	g.ends <- theirs
	return ours, nil
}

// hostOf returns a host with nothing but the guest of domain web1.
func hostOf(t *testing.T, p domain.Process) *Host {
	t.Helper()
	h := &Host{options: Options{Logger: slog.New(slog.DiscardHandler)}, life: t.Context(), events: make(chan func()),
		guests:   map[string]hosted{"web1": {process: p}},
		consoles: consoles{open: map[string]*conversation{}}}
	go func() {
		for {
			select {
			case f := <-h.events:
				f()
			case <-h.life.Done():
				return
			}
		}
	}()
	return h
}

func newTalker() *talker {
	return &talker{process: process{done: make(chan struct{})}, ends: make(chan net.Conn, 8)}
}

// visit opens the console of web1, and returns how it ended once it has. heard gets what the guest says.
func visit(t *testing.T, h *Host, use ConsoleUse, heard chan string) <-chan error {
	t.Helper()
	use.Domain = "web1"
	opened, over := make(chan struct{}), make(chan error, 1)
	go func() {
		over <- h.Console(t.Context(), use, func(data []byte) error {
			if len(data) == 0 {
				close(opened)
				return nil
			}
			select {
			case heard <- string(data):
			case <-t.Context().Done():
			}
			return nil
		})
	}()
	select {
	case <-opened:
	case err := <-over:
		over <- err
	case <-time.After(patience):
		require.Fail(t, "the console does not open")
	}
	return over
}

func requireCode(t *testing.T, code api.Code, err error) *api.Error {
	t.Helper()
	var e *api.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, "%s", e)
	return e
}

func TestConsole_goesBothWaysUntilTheGuestEnds(t *testing.T) {
	g := newTalker()
	g.busy = 3 // QEMU has not noticed yet that the user before has left
	h, heard := hostOf(t, g), make(chan string, 8)
	over := visit(t, h, ConsoleUse{Session: "s"}, heard)
	guest := <-g.ends
	_, err := guest.Write([]byte("login: "))
	require.NoError(t, err)
	require.Equal(t, "login: ", <-heard)

	read := make(chan string, 1)
	go func() {
		all := make([]byte, 10)
		n := 0
		for n < 4 {
			more, err := guest.Read(all[n:])
			if err != nil {
				break
			}
			n += more
		}
		read <- string(all[:n])
	}()
	for _, typed := range []api.TypeConsole{{At: 7, Data: []byte("ro")}, {At: 7, Data: []byte("ro")},
		{At: 8, Data: []byte("oot")}} { // the second is repeated, and a part of the third
		typed.Session = "s"
		require.NoError(t, h.TypeConsole("web1", typed))
	}
	require.Equal(t, "root", <-read)
	requireCode(t, api.CodeBusy, h.TypeConsole("web1", api.TypeConsole{Session: "other", Data: []byte("x")}))

	require.NoError(t, guest.Close())
	require.ErrorContains(t, <-over, "has ended")
	requireCode(t, api.CodeBusy, h.TypeConsole("web1", api.TypeConsole{Session: "s", Data: []byte("x")}))
}

func TestConsole_isForOneUser(t *testing.T) {
	g := newTalker()
	h, heard := hostOf(t, g), make(chan string, 8)
	first := visit(t, h, ConsoleUse{Session: "1", User: "root on n1"}, heard)
	<-g.ends
	e := requireCode(t, api.CodeBusy, <-visit(t, h, ConsoleUse{Session: "2"}, heard))
	require.Contains(t, e.Message, "root on n1")
	require.Contains(t, e.Hint, "--take")

	second := visit(t, h, ConsoleUse{Session: "2", User: "root on n2", Take: true}, heard)
	require.ErrorContains(t, <-first, "root on n2 took the console")
	guest := <-g.ends
	go func() { _, _ = guest.Read(make([]byte, 8)) }()
	require.NoError(t, h.TypeConsole("web1", api.TypeConsole{Session: "2", At: 0, Data: []byte("abc")}))

	third := visit(t, h, ConsoleUse{Session: "2"}, heard) // the same one, after an answer was lost
	require.Error(t, <-second)
	guest = <-g.ends
	go func() { _, _ = guest.Read(make([]byte, 8)) }()
	require.NoError(t, h.TypeConsole("web1", api.TypeConsole{Session: "2", At: 0, Data: []byte("abcd")}))
	require.NoError(t, guest.Close())
	require.Error(t, <-third)
	require.Empty(t, h.consoles.open)
}

// tellsWait is a context that tells once somebody waits for its end.
type tellsWait struct {
	context.Context
	once  *sync.Once
	waits chan struct{}
}

func (c tellsWait) Done() <-chan struct{} {
	c.once.Do(func() { close(c.waits) })
	return c.Context.Done()
}

// What is typed on a conversation that has been sent away, and is not gone yet, counts for the one that comes after it:
// its user repeats it if the answer is lost, and the guest is to read it once.
func TestConsole_whatIsTypedWhileItIsOpenedAgainIsTypedOnce(t *testing.T) {
	ours, guest := net.Pipe()
	use := ConsoleUse{Domain: "web1", Session: "s"}
	before := &conversation{use: use, leave: func(error) {}, gone: make(chan struct{}), conn: ours}
	all := consoles{open: map[string]*conversation{"web1": before}}
	next := &conversation{use: use, gone: make(chan struct{}), conn: ours}
	ctx := tellsWait{Context: t.Context(), once: new(sync.Once), waits: make(chan struct{})}
	entered := make(chan error, 1)
	go func() { entered <- all.enter(ctx, next) }()
	<-ctx.waits

	read := make(chan string, 2)
	go func() {
		for buf := make([]byte, 16); ; {
			n, err := guest.Read(buf)
			if err != nil {
				return
			}
			if n > 0 { // a write of nothing is seen, too
				read <- string(buf[:n])
			}
		}
	}()
	typed := api.TypeConsole{Session: "s", Data: []byte("reboot\n")}
	require.NoError(t, before.typeOn(typed))
	all.exit(before)
	require.NoError(t, <-entered)
	require.NoError(t, next.typeOn(typed))
	require.NoError(t, next.typeOn(api.TypeConsole{Session: "s", At: 7, Data: []byte("root")}))
	require.Equal(t, "reboot\n", <-read)
	require.Equal(t, "root", <-read, "the guest reads again what it has read")
	require.NoError(t, guest.Close())
}

func TestConsole_whoDoesNotListenIsSentAway(t *testing.T) {
	g := newTalker()
	h := hostOf(t, g)
	over := visit(t, h, ConsoleUse{Session: "s"}, make(chan string)) // nobody takes what the guest says
	guest := <-g.ends
	require.NoError(t, guest.SetDeadline(time.Now().Add(patience)))
	err := error(nil)
	for i := 0; err == nil && i < 10*consoleBacklog; i++ {
		_, err = guest.Write([]byte("x"))
	}
	require.Error(t, err, "everything was kept")
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the guest is held up")
	select {
	case err := <-over:
		require.Fail(t, "its user is stuck", "%v", err)
	default:
	}
}

func TestConsole_refusals(t *testing.T) {
	say := func([]byte) error { return nil }
	err := hostOf(t, newTalker()).Console(t.Context(), ConsoleUse{Domain: "other"}, say)
	requireCode(t, api.CodeFailed, err)
	mute := &process{done: make(chan struct{}), order: domain.Order{Name: "web1", Driver: "exec", Dir: "/d"}}
	e := requireCode(t, api.CodeInvalid, hostOf(t, mute).Console(t.Context(), ConsoleUse{Domain: "web1"}, say))
	require.Contains(t, e.Hint, "/d/guest.log")
	g := newTalker()
	g.busy = 1 << 30
	e = requireCode(t, api.CodeBusy, hostOf(t, g).Console(t.Context(), ConsoleUse{Domain: "web1"}, say))
	require.Contains(t, e.Message, domain.ErrConsoleTaken.Error())
	close(g.done)
	requireCode(t, api.CodeFailed, hostOf(t, g).Console(t.Context(), ConsoleUse{Domain: "web1"}, say))

	ctx, leave := context.WithCancelCause(t.Context())
	leave(errors.New("left"))
	err = hostOf(t, newTalker()).Console(ctx, ConsoleUse{Domain: "web1"}, say)
	require.True(t, err != nil && strings.Contains(err.Error(), "left") || errors.Is(err, context.Canceled), "%v", err)
}
