package domain

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/qga"
)

// fakeAgent is an agent of a guest, in place of QEMU's channel: it has two file systems, and knows what the real one
// allows while they are frozen. busy has it wait, inside of the freeze, until that is closed.
type fakeAgent struct {
	busy chan struct{}

	mu     sync.Mutex // protects what follows
	frozen bool
	heard  []string
}

func (a *fakeAgent) isFrozen() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.frozen
}

// said returns what it was told to execute.
func (a *fakeAgent) said() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.heard...)
}

// execute returns what the agent answers.
func (a *fakeAgent) execute(command string, id int64) string {
	if command == "guest-fsfreeze-freeze" && a.busy != nil {
		<-a.busy
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard = append(a.heard, command)
	switch was := a.frozen; command {
	case "guest-sync-delimited":
		return fmt.Sprintf("\xff{\"return\": %d}", id)
	case "guest-fsfreeze-freeze":
		if was {
			return `{"error": {"class": "CommandNotFound", "desc": "the agent is in frozen state"}}`
		}
		a.frozen = true
		return `{"return": 2}`
	case "guest-fsfreeze-thaw":
		a.frozen = false
		return `{"return": 0}`
	case "guest-fsfreeze-status":
		return map[bool]string{true: `{"return": "frozen"}`, false: `{"return": "thawed"}`}[was]
	}
	return `{"error": {"class": "CommandNotFound", "desc": "no such thing"}}`
}

// serve executes what is said over the channel, which is one stream whoever connects, in order.
func (a *fakeAgent) serve(listener net.Listener) {
	lines := make(chan []byte, 100)
	conns := make(chan net.Conn, 100)
	go func() {
		defer close(lines)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns <- conn
			for in := bufio.NewReader(conn); ; {
				line, err := in.ReadBytes('\n')
				if err != nil {
					break
				}
				lines <- line
			}
		}
	}()
	var conn net.Conn
	var callers []net.Conn
	defer func() {
		for _, c := range callers {
			c.Close()
		}
	}()
	for line := range lines {
		if line[0] == 0xff { // the first word of a caller
			conn, line = <-conns, line[1:]
			callers = append(callers, conn)
		}
		var r struct {
			Execute   string
			Arguments struct{ ID int64 }
		}
		_ = json.Unmarshal(line, &r)
		_, _ = fmt.Fprintln(conn, a.execute(r.Execute, r.Arguments.ID)) // nobody may hear it any more
	}
}

// frozenBy returns a guest whose agent that is; with nil there is a channel that nobody in the guest has open.
func frozenBy(t *testing.T, a *fakeAgent) Freezer {
	t.Helper()
	dir, err := os.MkdirTemp("", "hfa") // short: it holds a socket
	require.NoError(t, err)
	listener, err := net.Listen("unix", AgentSocket(dir))
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if a != nil {
			a.serve(listener)
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		<-ended
		require.NoError(t, os.RemoveAll(dir))
	})
	return guestAt(dir, `{"agent": true}`)
}

func guestAt(dir, settings string) *qemuProcess {
	return &qemuProcess{&localProcess{record: record{Order: Order{Name: "web1", Dir: dir,
		Settings: json.RawMessage(settings)}}}}
}

func TestFreezer_freezesAndThaws(t *testing.T) {
	a := &fakeAgent{}
	guest := frozenBy(t, a)
	require.NoError(t, guest.Thaw(t.Context()), "nothing is frozen")
	frozen, err := guest.Frozen(t.Context())
	require.NoError(t, err)
	require.False(t, frozen)

	count, err := guest.Freeze(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, count)
	require.True(t, a.isFrozen())
	frozen, err = guest.Frozen(t.Context())
	require.NoError(t, err)
	require.True(t, frozen)

	_, err = guest.Freeze(t.Context())
	var refused *qga.Error
	require.ErrorAs(t, err, &refused, "the caller can tell a refusal from no answer")
	require.ErrorContains(t, err, "domain web1: ")
	require.True(t, a.isFrozen())

	require.NoError(t, guest.Thaw(t.Context()))
	require.False(t, a.isFrozen())
}

// The agent is in its freeze for longer than anybody waits, for that and for the thaw: it comes to the thaw in the end.
func TestFreezer_aThawThatIsNotHeardIsBehindTheFreeze(t *testing.T) {
	a := &fakeAgent{busy: make(chan struct{})}
	guest := frozenBy(t, a)
	for _, do := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := guest.Freeze(ctx); return err }, guest.Thaw,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		require.ErrorIs(t, do(ctx), context.DeadlineExceeded)
		cancel()
	}
	require.Equal(t, []string{"guest-sync-delimited"}, a.said())
	close(a.busy)
	require.Eventually(t, func() bool { return len(a.said()) == 4 }, patience, time.Millisecond)
	require.Equal(t, []string{"guest-fsfreeze-freeze", "guest-sync-delimited", "guest-fsfreeze-thaw"}, a.said()[1:])
	require.False(t, a.isFrozen())
}

// An agent that answers nothing is told nothing that it could do later, but to thaw; nobody waits for it for long.
func TestFreezer_waitsForNobodyForLong(t *testing.T) {
	guest := frozenBy(t, nil)
	for name, c := range map[string]struct {
		do   func(context.Context) error
		most time.Duration
	}{
		"freeze": {func(ctx context.Context) error { _, err := guest.Freeze(ctx); return err }, 10 * time.Second},
		"thaw":   {guest.Thaw, 5 * time.Second},
		"frozen": {func(ctx context.Context) error { _, err := guest.Frozen(ctx); return err }, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			require.ErrorIs(t, c.do(t.Context()), context.DeadlineExceeded)
			took := time.Since(began)
			require.GreaterOrEqual(t, took, c.most)
			require.Less(t, took, c.most+3*time.Second)
		})
	}
}

func TestFreezer_withoutAnAgentAllIsRefused(t *testing.T) {
	guest := guestAt(filepath.Join(t.TempDir(), "d"), "")
	require.False(t, guest.HasAgent())
	_, err := guest.Freeze(t.Context())
	require.ErrorContains(t, err, "domain web1: it was defined without an agent")
	require.ErrorContains(t, guest.Thaw(t.Context()), "without an agent")
	_, err = guest.Frozen(t.Context())
	require.ErrorContains(t, err, "without an agent")
}

// What an agent says of its file systems is not taken for what it is not.
func TestFreezer_aStatusThatNobodyKnowsIsAnError(t *testing.T) {
	p := guestAt("", `{"agent": true}`)
	for said, want := range map[string]bool{"frozen": true, "thawed": false} {
		got, err := p.frozen(said)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := p.frozen("melting")
	require.ErrorContains(t, err, `"melting"`)
}
