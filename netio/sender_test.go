package netio

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// pair returns the two ends of a unix socket.
func pair(t testing.TB) (a, b net.Conn) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer l.Close()
	a, err = net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	b, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func pieces(t testing.TB, n, size int) (message [][]byte, whole []byte) {
	for range n {
		piece := make([]byte, size)
		_, _ = rand.Read(piece)
		message = append(message, piece, nil)
		whole = append(whole, piece...)
	}
	return message, whole
}

func TestSender_writesAtOnceWhatFits(t *testing.T) {
	a, b := pair(t)
	s := NewSender(a)
	message, want := pieces(t, 3, 100)
	done, err := s.Start(message)
	require.NoError(t, err)
	require.True(t, done)
	got := make([]byte, len(want))
	_, err = io.ReadFull(b, got)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Len(t, message[0], 100, "the caller's slice is as it was")
}

// TestSender_waitsForNobody sends more than any socket holds to somebody who does not read: Start returns, and
// Finish writes the rest once he does. More pieces than one system call takes are written too.
func TestSender_waitsForNobody(t *testing.T) {
	for _, c := range []struct{ n, size int }{{1, 16 << 20}, {3000, 8 << 10}} {
		a, b := pair(t)
		s := NewSender(a)
		message, want := pieces(t, c.n, c.size)
		done, err := s.Start(message)
		require.NoError(t, err)
		require.False(t, done)
		read := make(chan []byte, 1)
		go func() {
			got := make([]byte, len(want)+3)
			_, _ = io.ReadFull(b, got)
			read <- got
		}()
		require.NoError(t, s.Finish())
		done, err = s.Start([][]byte{[]byte("end")})
		require.NoError(t, err)
		if !done {
			require.NoError(t, s.Finish())
		}
		require.True(t, bytes.Equal(append(want, "end"...), <-read))
	}
}

func TestSender_tellsThatThePeerIsGone(t *testing.T) {
	a, b := pair(t)
	require.NoError(t, b.Close())
	_, err := NewSender(a).Start([][]byte{[]byte("x")})
	require.Error(t, err)
	require.NoError(t, a.Close())
	_, err = NewSender(a).Start([][]byte{[]byte("x")})
	require.ErrorIs(t, err, net.ErrClosed)
}

// TestSender_withoutSocket leaves all to Finish, as for TLS.
func TestSender_withoutSocket(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	s := NewSender(a)
	done, err := s.Start([][]byte{[]byte("ab"), []byte("c")})
	require.NoError(t, err)
	require.False(t, done)
	go func() { _ = s.Finish() }()
	got := make([]byte, 3)
	_, err = io.ReadFull(b, got)
	require.NoError(t, err)
	require.Equal(t, "abc", string(got))
}

func TestSender_allocatesNothing(t *testing.T) {
	a, b := pair(t)
	s := NewSender(a)
	message, whole := pieces(t, 4, 64)
	got := make([]byte, len(whole))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if done, err := s.Start(message); err != nil || !done {
			t.Fatal(done, err)
		}
		if _, err := io.ReadFull(b, got); err != nil {
			t.Fatal(err)
		}
	}))
}
