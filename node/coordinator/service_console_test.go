package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// consoleWire is the way to hosts that have consoles: each stream that is asked for is handed to the test.
type consoleWire struct {
	node    volume.NodeID
	streams chan consoleStream
	typed   chan string
}

type consoleStream struct {
	node  volume.NodeID
	query peer.ConsoleQuery
	ctx   context.Context
	out   *io.PipeWriter
}

func (s consoleStream) say(t *testing.T, line api.ConsoleOutput) {
	t.Helper()
	require.NoError(t, json.NewEncoder(s.out).Encode(line))
}

func (c consoleWire) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(body io.ReadCloser) *http.Response {
		return &http.Response{StatusCode: http.StatusOK, Body: body, Request: r}
	}
	if r.Method == http.MethodPost {
		var typed api.TypeConsole
		if err := json.NewDecoder(r.Body).Decode(&typed); err != nil {
			return nil, err
		}
		c.typed <- string(typed.Data)
		return answer(io.NopCloser(strings.NewReader("{}"))), nil
	}
	read, write := io.Pipe()
	context.AfterFunc(r.Context(), func() { write.CloseWithError(r.Context().Err()) })
	c.streams <- consoleStream{node: c.node, query: peer.ParseConsoleQuery(r.URL.Query()), ctx: r.Context(), out: write}
	return answer(read), nil
}

// consoles has the coordinators reach hosts with consoles, and returns what is asked of these.
func (w *world) consoles() consoleWire {
	all := consoleWire{streams: make(chan consoleStream), typed: make(chan string, 1)}
	w.c.opts.Reach = func(node volume.NodeID) http.RoundTripper {
		one := all
		one.node = node
		return one
	}
	return all
}

// sit asks for the console of web as root.
func (w *world) sit(said chan api.ConsoleOutput) <-chan error {
	over := make(chan error, 1)
	ctx := api.WithCaller(w.t.Context(), api.Caller{Kind: api.CallerRoot})
	go func() {
		over <- w.api.Console(ctx, "web", api.OpenConsole{Session: "s", Take: true}, func(out api.ConsoleOutput) error {
			said <- out
			return nil
		})
	}()
	return over
}

// The console is that of the domain, wherever its guest runs, also when a host dies without a word.
func TestConsole_followsTheGuest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		hosts := w.consoles()
		w.create("v1")
		w.domain("web", "h1", "h2")
		_, err := w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		said := make(chan api.ConsoleOutput, 8)
		over := w.sit(said)
		first := <-hosts.streams
		require.Equal(t, w.machines["h1"].node.ID, first.node)
		require.Equal(t, peer.ConsoleQuery{Domain: "web", Session: "s", User: "root on n1", Take: true}, first.query)
		first.say(t, api.ConsoleOutput{Host: "h1"})
		first.say(t, api.ConsoleOutput{Data: []byte("x")})
		require.Equal(t, "h1", (<-said).Host)
		require.Equal(t, "x", string((<-said).Data))
		require.NoError(t, w.api.TypeConsole(t.Context(), "web", api.TypeConsole{Session: "s", Data: []byte("ls")}))
		require.Equal(t, "ls", <-hosts.typed)

		_, err = w.api.FailoverDomain(t.Context(), "web", api.FailoverDomain{})
		require.NoError(t, err)
		<-first.ctx.Done()
		second := <-hosts.streams
		require.Equal(t, w.machines["h2"].node.ID, second.node)
		second.say(t, api.ConsoleOutput{Host: "h2"})
		require.Equal(t, "h2", (<-said).Host)

		pass(2 * patience) // the guest is quiet, and then its host's daemon is restarted
		require.NoError(t, second.out.CloseWithError(errors.New("connection reset")))
		second = <-hosts.streams
		require.Equal(t, w.machines["h2"].node.ID, second.node)
		second.say(t, api.ConsoleOutput{Host: "h2"})
		require.Equal(t, "h2", (<-said).Host)

		w.machines["h2"].kill()
		require.NoError(t, second.out.CloseWithError(errors.New("connection reset")))
		third := <-hosts.streams
		for third.node != w.machines["h1"].node.ID { // h2 is asked again until it is found dead
			require.NoError(t, third.out.CloseWithError(errors.New("connection reset")))
			third = <-hosts.streams
		}
		third.say(t, api.ConsoleOutput{Host: "h1"})
		require.Equal(t, "h1", (<-said).Host)

		_, err = w.api.StopDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		refusedWith(t, <-over, api.CodeInvalid, "web is stopped")
	})
}

// What the host says of why the console is over is the answer; nobody asks again.
func TestConsole_refusals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		hosts := w.consoles()
		refusedWith(t, <-w.sit(nil), api.CodeNotFound, "web")
		w.create("v1")
		w.domain("web", "h1")
		refusedWith(t, <-w.sit(nil), api.CodeInvalid, "web is stopped")
		refusedWith(t, w.api.TypeConsole(t.Context(), "web", api.TypeConsole{}), api.CodeInvalid, "web is stopped")
		_, err := w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		over := w.sit(nil)
		s := <-hosts.streams
		s.say(t, api.ConsoleOutput{Error: api.Errorf(api.CodeBusy, "domain/web", "", "root on n9 has it")})
		refusedWith(t, <-over, api.CodeBusy, "root on n9")

		over = w.sit(nil) // a host that never answers is not asked for ever
		began := time.Now()
		for err = nil; err == nil; {
			select {
			case s := <-hosts.streams:
				_ = s.out.CloseWithError(errors.New("connection reset"))
			case err = <-over:
			}
		}
		refusedWith(t, err, api.CodeFailed, "connection reset")
		require.LessOrEqual(t, time.Since(began), patience+time.Second)
	})
}

func TestWho(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h1, n1 := w.machines["h1"].node.ID, w.machines["n1"].node.ID
		for want, c := range map[string]api.Caller{
			"root on n1": {Kind: api.CallerRoot}, "root on h1": {Kind: api.CallerRoot, Via: []volume.NodeID{h1, n1}},
			"node h1": {Kind: api.CallerNode, Node: h1}, "somebody": {Kind: api.CallerToken, Token: "x"},
		} {
			require.Equal(t, want, w.api.who(c))
		}
	})
}
