package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// listening returns a listener with certificates of its own, and how to call it. expire ends the time of all
// handshakes.
func listening(t *testing.T, admit func(tls.ConnectionState) error) (m *memberListener, client *tls.Config,
	expire func()) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	require.NoError(t, err)
	client = &tls.Config{InsecureSkipVerify: true,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server := client.Clone()
	server.ClientAuth = tls.RequireAnyClientCert
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	over, expire := context.WithCancel(t.Context())
	m = newMemberListener(l, server, admit, func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		context.AfterFunc(over, cancel)
		return ctx, cancel
	}, slog.New(slog.DiscardHandler))
	m.start()
	t.Cleanup(func() { _ = m.Close() })
	return m, client, expire
}

// silent connects and says nothing.
func silent(t *testing.T, m *memberListener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", m.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn
}

func requireClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := conn.Read(make([]byte, 1))
	var slow net.Error
	require.Error(t, err)
	require.False(t, errors.As(err, &slow) && slow.Timeout(), "it is still open")
}

func anybody(tls.ConnectionState) error { return nil }

func TestMemberListener_silentOnesKeepNobodyWaiting(t *testing.T) {
	m, client, expire := listening(t, anybody)
	var quiet []net.Conn
	for range 10 {
		quiet = append(quiet, silent(t, m))
	}
	go func() {
		if conn, err := tls.Dial("tcp", m.Addr().String(), client); err == nil {
			_, _ = conn.Write([]byte("x"))
			_ = conn.Close()
		}
	}()
	conn, err := m.Accept()
	require.NoError(t, err)
	defer conn.Close()
	expire()
	for _, q := range quiet {
		requireClosed(t, q)
	}
	got := make([]byte, 1)
	_, err = conn.Read(got)
	require.NoError(t, err, "who is through is not bound by the time of its handshake")
	require.Equal(t, "x", string(got))
}

func TestMemberListener_manySilentOnesEndEachOther(t *testing.T) {
	m, _, _ := listening(t, anybody)
	first := silent(t, m)
	for range handshakesMax {
		silent(t, m)
	}
	requireClosed(t, first)
	m.mu.Lock()
	defer m.mu.Unlock()
	require.LessOrEqual(t, len(m.unfinished), handshakesMax)
}

func TestMemberListener_whoIsNotAdmittedIsClosed(t *testing.T) {
	m, client, _ := listening(t, func(s tls.ConnectionState) error {
		require.True(t, s.HandshakeComplete)
		return errors.New("not one of us")
	})
	conn, err := tls.Dial("tcp", m.Addr().String(), client)
	require.NoError(t, err)
	defer conn.Close()
	requireClosed(t, conn)
	require.NoError(t, m.Close())
	_, err = m.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = m.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestMemberListener_whoIsRefusedLaterIsClosed(t *testing.T) {
	m, client, _ := listening(t, anybody)
	pair := func() (dialed *tls.Conn, accepted net.Conn) {
		type result struct {
			conn *tls.Conn
			err  error
		}
		done := make(chan result, 1)
		go func() {
			conn, err := tls.Dial("tcp", m.Addr().String(), client)
			done <- result{conn, err}
		}()
		accepted, err := m.Accept()
		require.NoError(t, err)
		r := <-done
		require.NoError(t, r.err)
		t.Cleanup(func() { _ = r.conn.Close() })
		require.NoError(t, r.conn.SetDeadline(time.Now().Add(time.Minute)))
		return r.conn, accepted
	}
	dialed, _ := pair()
	_, other := pair()
	require.NoError(t, other.Close())
	asked := 0
	m.review(func(tls.ConnectionState) error { asked++; return nil })
	require.Equal(t, 1, asked, "what raft closed is not watched over")
	m.review(func(s tls.ConnectionState) error {
		require.NotEmpty(t, s.PeerCertificates)
		return errors.New("it left")
	})
	requireClosed(t, dialed)
	m.review(func(tls.ConnectionState) error { t.Error("it is closed already"); return nil })
}

func TestHandshakeDeadline_isShort(t *testing.T) {
	ctx, cancel := handshakeDeadline(t.Context())
	defer cancel()
	end, bounded := ctx.Deadline()
	require.True(t, bounded)
	require.LessOrEqual(t, time.Until(end), handshakeTimeout)
}

// Until whatever decides who is let in is there, callers wait; closed before that, nothing is left.
func TestMemberListener_acceptsNobodyBeforeItsStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m := newMemberListener(l, &tls.Config{}, func(tls.ConnectionState) error {
		t.Error("nobody is asked for")
		return nil
	}, handshakeDeadline, slog.New(slog.DiscardHandler))
	waiting := silent(t, m)
	accepted := make(chan error, 1)
	go func() {
		_, err := m.Accept()
		accepted <- err
	}()
	m.mu.Lock()
	require.Empty(t, m.unfinished)
	m.mu.Unlock()
	require.NoError(t, m.Close())
	require.ErrorIs(t, <-accepted, net.ErrClosed)
	requireClosed(t, waiting)
}
