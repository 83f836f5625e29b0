package nbd

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/block/memdev"
)

const testSize = 4 << 20

func newMem(t testing.TB, size int64) block.Device {
	t.Helper()
	d, err := memdev.New(memdev.Options{SizeBytes: size})
	require.NoError(t, err)
	return d
}

// socketPath returns a path that is short enough for a socket, whatever the test is called.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "s")
}

// serve starts a server on a unix socket and stops it with the test.
func serve(t testing.TB, o Options) (Address, *Server) {
	t.Helper()
	path := socketPath(t)
	return Address{Socket: path, Name: o.Name}, serveOn(t, path, o)
}

func serveOn(t testing.TB, path string, o Options) *Server {
	t.Helper()
	s, err := NewServer(o)
	require.NoError(t, err)
	l, err := Listen(path)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, <-served)
	})
	return s
}

func queueOf(t testing.TB, d block.Device, workers int) block.Queue {
	q := blocktest.NewQueue(d, workers)
	t.Cleanup(q.Close)
	return q
}

func serveDevice(t testing.TB, d block.Device, change func(*Options)) Address {
	o := Options{Queue: queueOf(t, d, 4), Limits: d.Limits(), Name: "root"}
	if change != nil {
		change(&o)
	}
	a, _ := serve(t, o)
	return a
}

func dial(t testing.TB, a Address, o ClientOptions) *Client {
	t.Helper()
	c, err := Dial(context.Background(), a, o)
	require.NoError(t, err)
	return c
}

func TestSuite_throughServerAndClient(t *testing.T) {
	for _, c := range []struct {
		name    string
		client  ClientOptions
		workers int
		change  func(*Options)
	}{
		{"structured replies", ClientOptions{}, 4, nil},
		{"simple replies", ClientOptions{SimpleReplies: true}, 4, nil},
		{"inline queue", ClientOptions{}, 0, nil},
		{"short requests below", ClientOptions{}, 4, func(o *Options) { o.Limits.MaxBytes = 3 * 4096 }},
		{"short requests below, simple replies", ClientOptions{SimpleReplies: true}, 4,
			func(o *Options) { o.Limits.MaxBytes = 4096 }},
		{"little room", ClientOptions{}, 4, func(o *Options) { o.InFlightBytes, o.InFlightRequests = 4096, 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			blocktest.Run(t, func(t *testing.T) block.Device {
				d := newMem(t, testSize)
				o := Options{Queue: queueOf(t, d, c.workers), Limits: d.Limits(), Name: "root"}
				if c.change != nil {
					c.change(&o)
				}
				a, _ := serve(t, o)
				return dial(t, a, c.client)
			})
		})
	}
}

func TestLimitsTravel(t *testing.T) {
	d := newMem(t, testSize)
	c := dial(t, serveDevice(t, d, func(o *Options) { o.Limits.BlockBytes = 4096 }), ClientOptions{})
	require.Equal(t, block.Limits{SizeBytes: testSize, BlockBytes: 4096, MaxBytes: MaxPayloadBytes,
		CanUnmap: true, Volatile: true}, c.Limits())
	require.NoError(t, c.Close())
	c = dial(t, serveDevice(t, d, func(o *Options) { o.Limits.ReadOnly = true }), ClientOptions{})
	require.True(t, c.Limits().ReadOnly)
	require.NoError(t, c.Close())
}

// The longest requests of the protocol pass, and in flight they may exceed the bound alone.
func TestLongestRequests(t *testing.T) {
	for _, o := range []ClientOptions{{}, {SimpleReplies: true}} {
		d := newMem(t, 128<<20)
		c := dial(t, serveDevice(t, d, nil), o)
		want := make([]byte, MaxPayloadBytes)
		for i := 0; i < len(want); i += 4096 {
			binary.BigEndian.PutUint64(want[i:], uint64(i)+1)
		}
		require.NoError(t, c.Write(t.Context(), want, 512, 0))
		got := make([]byte, MaxPayloadBytes)
		require.NoError(t, c.Read(t.Context(), got, 512))
		require.True(t, bytes.Equal(want, got))
		require.NoError(t, c.Zero(t.Context(), block.Range{Len: MaxPayloadBytes}, block.Unmap))
		require.ErrorIs(t, c.Write(t.Context(), make([]byte, MaxPayloadBytes+512), 0, 0), block.ErrOutOfRange)
		require.NoError(t, c.Close())
	}
}

func TestErrorsTravel(t *testing.T) {
	for _, c := range []struct {
		op   block.Op
		give error
		want error
	}{
		{block.OpWrite, block.ErrNoSpace, block.ErrNoSpace},
		{block.OpWrite, block.ErrReadOnly, block.ErrReadOnly},
		{block.OpWrite, block.ErrOutOfRange, block.ErrNoSpace},
		{block.OpRead, block.ErrOutOfRange, block.ErrFailed},
		{block.OpRead, block.ErrMedium, block.ErrFailed},
		{block.OpRead, block.ErrUnreachable, block.ErrFailed},
		{block.OpZero, block.ErrUnsupported, block.ErrUnsupported},
		{block.OpFlush, block.ErrFenced, block.ErrClosed},
		{block.OpFlush, fmt.Errorf("some cause"), block.ErrFailed},
	} {
		for _, o := range []ClientOptions{{}, {SimpleReplies: true}} {
			faulty := blocktest.NewFaulty(newMem(t, testSize))
			arm := faulty.Arm(blocktest.Fault{Op: c.op, Nth: 2, Err: c.give})
			device := dial(t, serveDevice(t, faulty, nil), o)
			do := map[block.Op]func() error{
				block.OpRead:  func() error { return device.Read(t.Context(), make([]byte, 8192), 0) },
				block.OpWrite: func() error { return device.Write(t.Context(), make([]byte, 8192), 0, 0) },
				block.OpZero:  func() error { return device.Zero(t.Context(), block.Range{Len: 8192}, 0) },
				block.OpFlush: func() error { return device.Flush(t.Context()) },
			}[c.op]
			require.NoError(t, do())
			require.ErrorIs(t, do(), c.want, "%s %v", c.op, c.give)
			require.Equal(t, 1, arm.Struck())
			require.NoError(t, do(), "the connection goes on after an error")
			require.NoError(t, device.Close())
		}
	}
}

// One part of a read that fails must fail the read, whichever part it is, and leave the connection
// in step.
func TestRead_oneFailedPartFailsAll(t *testing.T) {
	for part := range int64(4) {
		for _, o := range []ClientOptions{{}, {SimpleReplies: true}} {
			faulty := blocktest.NewFaulty(newMem(t, testSize))
			bad := block.Range{Off: part * 4096, Len: 4096}
			arm := faulty.Arm(blocktest.Fault{Op: block.OpRead, Range: bad, Err: block.ErrMedium})
			c := dial(t, serveDevice(t, faulty, func(o *Options) { o.Limits.MaxBytes = 4096 }), o)
			require.ErrorIs(t, c.Read(t.Context(), make([]byte, 4*4096), 0), block.ErrFailed)
			require.Equal(t, 1, arm.Struck())
			arm.Switch(false)
			require.NoError(t, c.Read(t.Context(), make([]byte, 4*4096), 0))
			require.NoError(t, c.Close())
		}
	}
}

// recorder notes what reaches the queue.
type recorder struct {
	block.Queue
	mu   sync.Mutex
	seen []block.Request
}

func (r *recorder) Submit(q *block.Request) {
	r.mu.Lock()
	r.seen = append(r.seen, block.Request{Op: q.Op, Flags: q.Flags, Range: q.Range})
	r.mu.Unlock()
	r.Queue.Submit(q)
}

func TestFlagsReachTheQueue(t *testing.T) {
	d := newMem(t, testSize)
	r := &recorder{Queue: queueOf(t, d, 0)}
	c := dial(t, serveDevice(t, d, func(o *Options) { o.Queue, o.Limits.MaxBytes = r, 8192 }), ClientOptions{})
	require.NoError(t, c.Write(t.Context(), make([]byte, 8704), 4096, block.FUA))
	require.NoError(t, c.Zero(t.Context(), block.Range{Off: 0, Len: 512}, 0))
	require.NoError(t, c.Zero(t.Context(), block.Range{Off: 0, Len: 512}, block.Unmap|block.FUA))
	require.NoError(t, c.Flush(t.Context()))
	require.NoError(t, c.Close())
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Equal(t, []block.Request{
		{Op: block.OpWrite, Flags: block.FUA, Range: block.Range{Off: 4096, Len: 8192}},
		{Op: block.OpWrite, Flags: block.FUA, Range: block.Range{Off: 12288, Len: 512}},
		{Op: block.OpZero, Range: block.Range{Off: 0, Len: 512}},
		{Op: block.OpZero, Flags: block.Unmap | block.FUA, Range: block.Range{Off: 0, Len: 512}},
		{Op: block.OpFlush},
	}, r.seen)
}

// raw is a client that says bytes of its own making after a well-formed handshake.
func raw(t *testing.T, a Address) net.Conn {
	t.Helper()
	socket, _, _, err := connect(t.Context(), a, ClientOptions{SimpleReplies: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = socket.Close() })
	require.NoError(t, socket.SetDeadline(time.Now().Add(10*time.Second)))
	return socket
}

func reply1(t *testing.T, socket net.Conn) simpleReply {
	t.Helper()
	var b [simpleReplyBytes]byte
	_, err := io.ReadFull(socket, b[:])
	require.NoError(t, err)
	r, err := parseSimpleReply(b[:])
	require.NoError(t, err)
	return r
}

func TestRequest_refusedOneByOne(t *testing.T) {
	for _, c := range []struct {
		name  string
		r     request
		errno uint32
	}{
		{"unknown command", request{Type: 77}, errnoInval},
		{"unknown flag", request{Type: cmdRead, Flags: 1 << 9, Length: 512}, errnoInval},
		{"no-hole on a read", request{Type: cmdRead, Flags: cmdFlagNoHole, Length: 512}, errnoInval},
		{"misaligned", request{Type: cmdRead, Offset: 1, Length: 512}, errnoInval},
		{"read behind the end", request{Type: cmdRead, Offset: testSize, Length: 512}, errnoInval},
		{"read that wraps around", request{Type: cmdRead, Offset: 1<<64 - 512, Length: 1024}, errnoInval},
		{"read too long", request{Type: cmdRead, Length: MaxPayloadBytes + 512}, errnoInval},
		{"write behind the end", request{Type: cmdWrite, Offset: testSize - 512, Length: 1024}, errnoNoSpace},
		{"trim behind the end", request{Type: cmdTrim, Offset: testSize, Length: 512}, errnoNoSpace},
		{"misaligned write", request{Type: cmdWrite, Offset: 0, Length: 100}, errnoInval},
		{"empty write", request{Type: cmdWrite, Offset: 0, Length: 0}, 0},
		{"FUA on a read means nothing", request{Type: cmdRead, Flags: cmdFlagFUA, Length: 0}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket := raw(t, serveDevice(t, newMem(t, testSize), nil))
			c.r.Cookie = 5
			message := c.r.append(nil)
			if c.r.Type == cmdWrite {
				message = append(message, make([]byte, c.r.Length)...)
			}
			message = request{Type: cmdFlush, Cookie: 6}.append(message)
			_, err := socket.Write(message)
			require.NoError(t, err)
			require.Equal(t, simpleReply{c.errno, 5}, reply1(t, socket))
			require.Equal(t, simpleReply{0, 6}, reply1(t, socket), "the connection is still in step")
		})
	}
}

func TestReadOnly(t *testing.T) {
	d := newMem(t, testSize)
	socket := raw(t, serveDevice(t, d, func(o *Options) { o.Limits.ReadOnly = true }))
	_, err := socket.Write(append(request{Type: cmdWrite, Length: 512}.append(nil), make([]byte, 512)...))
	require.NoError(t, err)
	require.Equal(t, errnoPerm, reply1(t, socket).Errno)
}

// Whoever breaks the protocol loses the connection and is logged; nothing else happens.
func TestProtocolErrorsDropTheConnection(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil))
	logged := func(text string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(log.String(), text)
		}
	}
	a := serveDevice(t, newMem(t, testSize), func(o *Options) { o.Logger = logger })
	for text, message := range map[string][]byte{
		"bad magic number": make([]byte, requestBytes),
		"at most 33554432": request{Type: cmdWrite, Length: MaxPayloadBytes + 1}.append(nil),
	} {
		socket := raw(t, a)
		_, err := socket.Write(message)
		require.NoError(t, err)
		_, err = socket.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.Eventually(t, logged(text), 5*time.Second, time.Millisecond, text)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A payload that is cut off is not written, whichever byte is missing.
func TestTornPayloadIsNotWritten(t *testing.T) {
	d := newMem(t, testSize)
	r := &recorder{Queue: queueOf(t, d, 0)}
	o := Options{Queue: r, Limits: d.Limits(), Name: "root"}
	a, s := serve(t, o)
	for _, n := range []int{0, 1, 4095} {
		socket := raw(t, a)
		_, err := socket.Write(append(request{Type: cmdWrite, Length: 4096}.append(nil), make([]byte, n)...))
		require.NoError(t, err)
		require.NoError(t, socket.Close())
		require.Eventually(t, func() bool { return s.Connections() == 0 }, 5*time.Second, time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.seen)
}

// TestDescribe_trim: a guest is told that it may discard only where that gives space back.
func TestDescribe_trim(t *testing.T) {
	for _, l := range []block.Limits{{CanUnmap: true}, {}, {CanUnmap: true, ReadOnly: true}} {
		flags := describe(Options{Limits: l}).Flags
		require.Equal(t, l.CanUnmap && !l.ReadOnly, flags&flagSendTrim != 0, "%+v", l)
		require.Equal(t, !l.ReadOnly, flags&flagSendWriteZeroes != 0, "%+v", l)
	}
}
