package qmp

import (
	"bufio"
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scripted is a fake of QEMU: it says greeting, then one text for each line that it is sent, then closes. The real one
// is met in the tests of package domain.
func scripted(t *testing.T, greeting string, answers ...string) (socket string, heard <-chan string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "q")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	lines := make(chan string, 8)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte(greeting))
		in := bufio.NewScanner(conn)
		for _, a := range answers {
			if !in.Scan() {
				return
			}
			lines <- in.Text()
			_, _ = conn.Write([]byte(a))
		}
	}()
	return socket, lines
}

const hello = `{"QMP": {"version": {}, "capabilities": []}}` + "\n"

func TestCall_passesOverEventsAndReadsTheAnswer(t *testing.T) {
	socket, heard := scripted(t, hello, `{"event": "A"} {"return": {}}`,
		`{"event": "B", "data": {}}{"return": {"status": "running"}}`)
	var status struct{ Status string }
	require.NoError(t, Call(t.Context(), socket, "query-status", map[string]int{"x": 1}, &status))
	require.Equal(t, "running", status.Status)
	require.Equal(t, `{"execute":"qmp_capabilities"}`, <-heard)
	require.Equal(t, `{"execute":"query-status","arguments":{"x":1}}`, <-heard)
}

func TestCall_faults(t *testing.T) {
	for name, c := range map[string]struct {
		greeting string
		answers  []string
		want     string
	}{
		"refusal":        {hello, []string{`{"return":{}}`, `{"error":{"class":"x","desc":"no."}}`}, "cont: no."},
		"no QEMU":        {`{"hello":1}`, nil, "is no QEMU"},
		"no JSON":        {"220 ready\n", nil, "greeting"},
		"silence":        {"", nil, "EOF"},
		"end":            {hello, []string{`{"return":{}}`, ``}, "EOF"},
		"neither":        {hello, []string{`{"return":{}}`, `{}`}, "neither"},
		"another type":   {hello, []string{`{"return":{}}`, `{"return":[1]}`}, "cannot unmarshal"},
		"not negotiated": {hello, []string{`{"error":{"class":"x","desc":"busy"}}`}, "busy"},
	} {
		t.Run(name, func(t *testing.T) {
			socket, _ := scripted(t, c.greeting, c.answers...)
			var status struct{ Status string }
			err := Call(t.Context(), socket, "cont", nil, &status)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, socket)
		})
	}
	require.Error(t, Call(t.Context(), filepath.Join(t.TempDir(), "none"), "cont", nil, nil))
}

func TestCall_endsWithItsContext(t *testing.T) {
	socket, heard := scripted(t, hello, `{"return":{}}`, "", "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		<-heard
		<-heard
		cancel()
	}()
	require.ErrorIs(t, Call(ctx, socket, "cont", nil, nil), context.Canceled)
}
