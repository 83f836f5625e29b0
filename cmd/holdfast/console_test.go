package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
)

// fakeGuest says what it is told to, and stays until its user is gone.
type fakeGuest struct {
	says  []api.ConsoleOutput
	typed []api.TypeConsole
	fails error // of the first that is typed
	ends  error
}

func (f *fakeGuest) Console(ctx context.Context, _ string, _ api.OpenConsole,
	each func(api.ConsoleOutput) error) error {
	for _, out := range f.says {
		if err := each(out); err != nil {
			return err
		}
	}
	if f.ends != nil {
		return f.ends
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fakeGuest) TypeConsole(_ context.Context, _ string, r api.TypeConsole) error {
	r.Data = bytes.Clone(r.Data)
	f.typed = append(f.typed, r)
	if len(f.typed) == 1 {
		return f.fails
	}
	return nil
}

func TestSeat_typesAndLeaves(t *testing.T) {
	var out, notes strings.Builder
	f := &fakeGuest{says: []api.ConsoleOutput{{Host: "h1"}, {Data: []byte("login: ")}, {Host: "h2"}}}
	s := seat{client: f, domain: "web1", request: api.OpenConsole{Session: "s"}, out: &out, notes: &notes,
		in: io.MultiReader(strings.NewReader("root\r"), strings.NewReader("ls\r\x1dnobody types this"))}
	require.NoError(t, s.sit(t.Context()))
	require.Equal(t, "login: ", out.String())
	require.Equal(t, []api.TypeConsole{{Session: "s", Data: []byte("root\r")},
		{Session: "s", At: 5, Data: []byte("ls\r")}}, f.typed)
	require.Contains(t, notes.String(), "the console of web1 on h1; Ctrl-] leaves it\r\n")
	require.Contains(t, notes.String(), "on h2")
}

// What could not be typed is told, and the next keys follow as if it had been.
func TestSeat_tellsWhatIsNotTyped(t *testing.T) {
	var notes strings.Builder
	f := &fakeGuest{says: []api.ConsoleOutput{{Host: "h1"}}, fails: errors.New("it does not read")}
	s := seat{client: f, domain: "web1", out: io.Discard, notes: &notes,
		in: io.MultiReader(strings.NewReader("a"), strings.NewReader("b\x1d"))}
	require.NoError(t, s.sit(t.Context()))
	require.Contains(t, notes.String(), "it does not read")
	require.EqualValues(t, 1, f.typed[1].At)
}

func TestSeat_saysWhyItEnds(t *testing.T) {
	f := &fakeGuest{says: []api.ConsoleOutput{{Host: "h1"}}, ends: errors.New("somebody took it")}
	s := seat{client: f, domain: "web1", in: strings.NewReader(""), out: io.Discard, notes: io.Discard}
	require.EqualError(t, s.sit(t.Context()), "somebody took it")
}

// Until there is a guest the terminal is its user's: Ctrl-C ends the command.
func TestSeat_takesTheTerminalOnceTheGuestListens(t *testing.T) {
	var steps []string
	s := seat{domain: "web1", out: io.Discard, notes: io.Discard, in: strings.NewReader(""),
		terminal: func() (func(), error) {
			steps = append(steps, "taken")
			return func() { steps = append(steps, "given back") }, nil
		}}
	s.client = &fakeGuest{ends: errors.New("no guest")}
	require.EqualError(t, s.sit(t.Context()), "no guest")
	require.Empty(t, steps)

	s.client = &fakeGuest{says: []api.ConsoleOutput{{}, {Host: "h1"}, {Host: "h2"}}, ends: errors.New("it ended")}
	require.EqualError(t, s.sit(t.Context()), "it ended")
	require.Equal(t, []string{"taken", "given back"}, steps)

	s.terminal = func() (func(), error) { return nil, errors.New("no such terminal") }
	require.EqualError(t, s.sit(t.Context()), "no such terminal")
}
