package qga

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scripted is a fake of an agent behind its channel: it says before, what somebody else's call left in the channel,
// then answers the sync, then the command with text, unless that is empty.
func scripted(t *testing.T, before, text string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "a")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		_, _ = in.ReadBytes(sentinel)
		line, _ := in.ReadBytes('\n')
		var r struct{ Arguments struct{ ID int64 } }
		_ = json.Unmarshal(line, &r)
		_, _ = fmt.Fprintf(conn, "%s\xff{\"return\": %d}\n", before, r.Arguments.ID)
		if _, err := in.ReadBytes('\n'); err != nil || text == "" {
			return
		}
		_, _ = conn.Write([]byte(text + "\n"))
	}()
	return socket
}

func TestCall_readsPastWhatWasMeantForOthers(t *testing.T) {
	for name, before := range map[string]string{
		"nothing": "", "an answer": `{"return": {"name": "old"}}` + "\n", "half an answer": `{"return": {"na`,
		"another's sync": "\xff{\"return\": 7}\n", "no JSON": "login: \n",
	} {
		t.Run(name, func(t *testing.T) {
			var got struct{ Name string }
			socket := scripted(t, before, `{"return": {"name": "new"}}`)
			require.NoError(t, Call(t.Context(), socket, "guest-get-host-name", nil, &got))
			require.Equal(t, "new", got.Name)

			got.Name = ""
			socket = scripted(t, before, `{"return": {"name": "new"}}`)
			require.NoError(t, CallBlind(t.Context(), socket, "guest-get-host-name", nil, &got))
			require.Equal(t, "new", got.Name)
		})
	}
}

func TestCall_faults(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"refusal": {`{"error": {"class": "CommandNotFound", "desc": "no such thing."}}`, "guest-ping: no such thing."},
		"end":     {"", "EOF"},
		"neither": {`{}`, "neither"},
		"no JSON": {`login:`, "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, Call(t.Context(), scripted(t, "", c.text), "guest-ping", nil, nil), c.want)
		})
	}
	require.Error(t, Call(t.Context(), filepath.Join(t.TempDir(), "none"), "guest-ping", nil, nil))
}

// A channel that nothing in the guest has open takes the connection and answers nothing.
func TestCall_endsWithItsContext(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "a")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, Call(ctx, socket, "guest-ping", nil, nil), context.DeadlineExceeded)
}

// deaf is a fake of an agent that is busy: it takes whatever is said, hands on each line, and answers nothing.
func deaf(t *testing.T) (socket string, lines <-chan string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "a")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	said := make(chan string, 10)
	go func() {
		defer close(said)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for in := bufio.NewScanner(conn); in.Scan(); {
			said <- in.Text()
		}
	}()
	return socket, said
}

// What may do harm when it is executed late is not said before the agent is known to be there; the rest is.
func TestCall_saysTheCommandOnlyOnceTheAgentAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		call func(context.Context, string, string, any, any) error
		want int
	}{"call": {Call, 1}, "blind": {CallBlind, 2}} {
		t.Run(name, func(t *testing.T) {
			socket, lines := deaf(t)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			require.ErrorIs(t, c.call(ctx, socket, "guest-fsfreeze-thaw", nil, nil), context.DeadlineExceeded)
			var said []string
			for line := range lines {
				said = append(said, line)
			}
			require.Len(t, said, c.want, "%q", said)
			require.Contains(t, said[0], "\xff{\"execute\":\"guest-sync-delimited\"")
			require.Equal(t, c.want == 2, strings.Contains(said[len(said)-1], "guest-fsfreeze-thaw"))
		})
	}
}
