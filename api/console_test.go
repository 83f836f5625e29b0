package api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// guestConsole is a Service whose guest says one thing and is gone.
type guestConsole struct {
	Service
	asked chan string
	ends  error
}

func (g guestConsole) Console(_ context.Context, name string, r OpenConsole, emit func(ConsoleOutput) error) error {
	g.asked <- fmt.Sprint(name, r)
	if g.ends == nil {
		return errors.Join(emit(ConsoleOutput{Host: "h1"}), emit(ConsoleOutput{Data: []byte{0, 255}}),
			Errorf(CodeFailed, "domain/web1", "", "the guest has ended"))
	}
	return g.ends
}

func (g guestConsole) TypeConsole(_ context.Context, name string, r TypeConsole) error {
	g.asked <- fmt.Sprintf("%s %s %d %q", name, r.Session, r.At, r.Data)
	return g.ends
}

// Whatever a guest writes and is typed goes over the wire as it is, and the end
// of the console says why.
func TestConsole_overTheWire(t *testing.T) {
	g := guestConsole{asked: make(chan string, 4)}
	leader := server(t, NewHandler(g))
	c := trust(client(t, -1, leader.URL), leader)
	var said []ConsoleOutput
	err := c.Console(t.Context(), "web1", OpenConsole{Session: "s", Take: true}, func(out ConsoleOutput) error {
		said = append(said, out)
		return nil
	})
	require.ErrorContains(t, err, "the guest has ended")
	require.Equal(t, []ConsoleOutput{{Host: "h1"}, {Data: []byte{0, 255}}}, said)
	require.Equal(t, "web1{s true}", <-g.asked)
	require.NoError(t, c.TypeConsole(t.Context(), "web1", TypeConsole{Session: "s", At: 3, Data: []byte("\x03\xff")}))
	require.Equal(t, `web1 s 3 "\x03\xff"`, <-g.asked)

	var e *Error
	require.ErrorAs(t, c.TypeConsole(t.Context(), "web1", TypeConsole{Data: make([]byte, TypeMax+1)}), &e)
	require.Equal(t, CodeInvalid, e.Code)
	g.ends = Errorf(CodeBusy, "domain/web1", "", "somebody has it")
	refusing := server(t, NewHandler(g))
	c = trust(client(t, -1, refusing.URL), refusing)
	err = c.Console(t.Context(), "web1", OpenConsole{Session: "s"}, func(ConsoleOutput) error { return nil })
	require.ErrorAs(t, err, &e)
	require.Equal(t, CodeBusy, e.Code)
	require.ErrorContains(t, c.Console(t.Context(), "web1", OpenConsole{}, nil), "session")
}
