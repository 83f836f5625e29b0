package nbd

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/block"
)

// held is a queue that keeps every request until the test completes it.
type held chan *block.Request

func (h held) Submit(r *block.Request) { h <- r }

func heldOptions(h held) Options {
	limits := block.Limits{SizeBytes: testSize, BlockBytes: 512, MaxBytes: 1 << 20}
	return Options{Queue: h, Limits: limits, Name: "root"}
}

// write starts a write and returns where its result comes.
func write(d block.Device, p []byte, off int64) <-chan error {
	result := make(chan error, 1)
	go func() { result <- d.Write(context.Background(), p, off, 0) }()
	return result
}

func TestShutdown_answersWhatIsInFlight(t *testing.T) {
	queue := make(held, 1)
	a, s := serve(t, heldOptions(queue))
	c := dial(t, a, ClientOptions{})
	result := write(c, make([]byte, 512), 0)
	r := <-queue
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	require.Eventually(t, func() bool {
		_, err := Dial(context.Background(), a, ClientOptions{})
		return err != nil
	}, 5*time.Second, time.Millisecond, "no new connection")
	r.Complete(r, nil)
	require.NoError(t, <-result)
	require.NoError(t, <-down)
	require.ErrorIs(t, c.Flush(t.Context()), block.ErrUnreachable)
	require.NoError(t, c.Close())
}

func TestShutdown_givesUpWithItsContext(t *testing.T) {
	queue := make(held, 1)
	a, s := serve(t, heldOptions(queue))
	c := dial(t, a, ClientOptions{})
	result := write(c, make([]byte, 512), 0)
	r := <-queue
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.Canceled)
	require.ErrorIs(t, <-result, block.ErrUnreachable, "the outcome is unknown to the client")
	r.Complete(r, nil) // the queue may complete it whenever it likes
	require.NoError(t, c.Close())
}

func TestClose_dropsConnectionsAndHandshakes(t *testing.T) {
	queue := make(held, 1)
	a, s := serve(t, heldOptions(queue))
	half, err := net.Dial("unix", a.Socket) // stays in its handshake
	require.NoError(t, err)
	_, err = io.ReadFull(half, make([]byte, 18))
	require.NoError(t, err)
	c := dial(t, a, ClientOptions{})
	result := write(c, make([]byte, 512), 0)
	<-queue
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-result, block.ErrUnreachable)
	_, err = half.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, half.Close())
	require.NoError(t, c.Close())
	require.Zero(t, s.Connections())
}

func TestConnectionsAreBounded(t *testing.T) {
	o := heldOptions(make(held, 1))
	o.Connections = 1
	a, s := serve(t, o)
	first := dial(t, a, ClientOptions{})
	_, err := Dial(t.Context(), a, ClientOptions{})
	require.Error(t, err)
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool { return s.Connections() == 0 }, 5*time.Second, time.Millisecond)
	require.NoError(t, dial(t, a, ClientOptions{}).Close())
}

// With one request in flight allowed, the second is not even read before the first is answered.
func TestRequestsInFlightAreBounded(t *testing.T) {
	queue := make(held, 8)
	o := heldOptions(queue)
	o.InFlightRequests = 2
	a, _ := serve(t, o)
	c := dial(t, a, ClientOptions{})
	var results []<-chan error
	for i := range 4 {
		results = append(results, write(c, make([]byte, 512), int64(i)*512))
	}
	first, second := <-queue, <-queue
	require.Never(t, func() bool { return len(queue) > 0 }, 50*time.Millisecond, time.Millisecond)
	first.Complete(first, nil)
	third := <-queue
	second.Complete(second, nil)
	third.Complete(third, nil)
	fourth := <-queue
	fourth.Complete(fourth, nil)
	for _, r := range results {
		require.NoError(t, <-r)
	}
	require.NoError(t, c.Close())
}

// Replies come in the order of completion, not of the requests.
func TestRepliesOutOfOrder(t *testing.T) {
	queue := make(held, 2)
	a, _ := serve(t, heldOptions(queue))
	c := dial(t, a, ClientOptions{})
	slow := write(c, make([]byte, 512), 0)
	first := <-queue
	fast := write(c, make([]byte, 512), 512)
	second := <-queue
	second.Complete(second, nil)
	require.NoError(t, <-fast)
	first.Complete(first, nil)
	require.NoError(t, <-slow)
	require.NoError(t, c.Close())
}

// A client with Reconnect rides over a restart of the server: what was not answered is asked again,
// and what was answered is not.
func TestClient_reconnects(t *testing.T) {
	for _, how := range []string{"close", "fenced"} {
		t.Run(how, func(t *testing.T) {
			path := socketPath(t)
			queue := make(held, 4)
			first := serveOn(t, path, heldOptions(queue))
			c := dial(t, Address{Socket: path, Name: "root"}, ClientOptions{Reconnect: 10 * time.Second})
			done := write(c, bytes.Repeat([]byte{1}, 512), 0)
			r := <-queue
			r.Complete(r, nil)
			require.NoError(t, <-done)
			open := write(c, bytes.Repeat([]byte{2}, 512), 512)
			r = <-queue
			if how == "fenced" {
				r.Complete(r, block.ErrFenced)
			}
			require.NoError(t, first.Close())

			d := newMem(t, testSize)
			o := heldOptions(nil)
			o.Queue = queueOf(t, d, 1)
			serveOn(t, path, o)
			require.NoError(t, <-open)
			got := make([]byte, 1024)
			require.NoError(t, d.Read(t.Context(), got, 0))
			require.Equal(t, append(make([]byte, 512), bytes.Repeat([]byte{2}, 512)...), got)
			require.NoError(t, c.Close())
		})
	}
}

func TestClient_refusesAnotherExportAfterReconnect(t *testing.T) {
	path := socketPath(t)
	first := serveOn(t, path, heldOptions(make(held, 1)))
	c := dial(t, Address{Socket: path}, ClientOptions{Reconnect: 10 * time.Second})
	require.NoError(t, first.Close())
	smaller := heldOptions(make(held, 1))
	smaller.Limits.SizeBytes = testSize / 2
	serveOn(t, path, smaller)
	err := c.Flush(t.Context())
	require.ErrorIs(t, err, block.ErrUnreachable)
	require.ErrorContains(t, err, "has changed")
	require.NoError(t, c.Close())
}

func TestClient_givesUpReconnecting(t *testing.T) {
	a, s := serve(t, heldOptions(make(held, 1)))
	c := dial(t, a, ClientOptions{Reconnect: 50 * time.Millisecond})
	require.NoError(t, s.Close())
	require.ErrorIs(t, c.Flush(t.Context()), block.ErrUnreachable)
	require.ErrorIs(t, c.Read(t.Context(), make([]byte, 512), 0), block.ErrUnreachable, "and for good")
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.Close(), block.ErrClosed)
}

func TestClient_closeWhileReconnecting(t *testing.T) {
	a, s := serve(t, heldOptions(make(held, 1)))
	c := dial(t, a, ClientOptions{Reconnect: time.Hour})
	require.NoError(t, s.Close())
	pending := write(c, make([]byte, 512), 0)
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-pending, block.ErrClosed)
}

func TestDial_nobodyThere(t *testing.T) {
	_, err := Dial(t.Context(), Address{Socket: socketPath(t)}, ClientOptions{})
	require.ErrorIs(t, err, block.ErrUnreachable)
}

func TestListen_staleSockets(t *testing.T) {
	path := socketPath(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	_, err = Listen(path)
	require.ErrorContains(t, err, "in use", "somebody answers there")
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	fresh, err := Listen(path)
	require.NoError(t, err, "a stale socket is replaced")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, fresh.Close())

	file := filepath.Join(filepath.Dir(path), "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	_, err = Listen(file)
	require.ErrorContains(t, err, "is no socket")
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "precious", string(kept))
}

func TestNewServer_refusals(t *testing.T) {
	good := heldOptions(make(held, 1))
	for name, change := range map[string]func(*Options){
		"no queue":      func(o *Options) { o.Queue = nil },
		"name of":       func(o *Options) { o.Name = string(make([]byte, nameBytesMax+1)) },
		"negative":      func(o *Options) { o.InFlightBytes = -1 },
		"power of two":  func(o *Options) { o.Limits.BlockBytes = 768 },
		"do not fit":    func(o *Options) { o.Limits.SizeBytes = 1000 },
		"longest reque": func(o *Options) { o.Limits.MaxBytes = 1 },
	} {
		o := good
		change(&o)
		_, err := NewServer(o)
		require.ErrorContains(t, err, name)
	}
}

// poor is a listener that has no memory for its first connections.
type poor struct {
	net.Listener
	fails int
}

func (l *poor) Accept() (net.Conn, error) {
	if l.fails--; l.fails >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: os.NewSyscallError("accept4", unix.ENOMEM)}
	}
	return l.Listener.Accept()
}

// That one connection cannot be accepted is no end of the export: the guest that is connected would be killed.
func TestServe_aConnectionThatCannotBeAcceptedEndsNothing(t *testing.T) {
	d := newMem(t, testSize)
	s, err := NewServer(Options{Queue: queueOf(t, d, 4), Limits: d.Limits(), Name: "root"})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(&poor{l, 3}) }()
	require.NoError(t, dial(t, Address{Socket: path, Name: "root"}, ClientOptions{}).Close())
	require.NoError(t, s.Close())
	require.NoError(t, <-served)
}
