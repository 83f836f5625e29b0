package nbd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/netio"
)

// testCA signs what the tests need.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newTestCA(t testing.TB) testCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return testCA{cert, key}
}

// sign returns a certificate, and its key, for somebody.
func (ca testCA) sign(t testing.TB, name string, until time.Time, use x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: until.Add(-2 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{use},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	if use == x509.ExtKeyUsageServerAuth {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (ca testCA) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// server returns a listener's settings that let in whoever is called "guest", as long as allowed is set.
func (ca testCA) server(t testing.TB, allowed *atomic.Bool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, ClientCAs: ca.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{ca.sign(t, "server", time.Now().Add(time.Hour), x509.ExtKeyUsageServerAuth)},
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.PeerCertificates[0].Subject.CommonName != "guest" || !allowed.Load() {
				return errors.New("not admitted")
			}
			return nil
		}}
}

func (ca testCA) client(t testing.TB, name string) *tls.Config {
	return &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{
		ca.sign(t, name, time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth)}}
}

// directory writes a guest's credentials as foreign clients want them.
func (ca testCA) directory(t testing.TB, pair tls.Certificate) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	write(FileCA, "CERTIFICATE", ca.cert.Raw)
	write(FileCert, "CERTIFICATE", pair.Certificate[0])
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	write(FileKey, "PRIVATE KEY", key)
	return dir
}

// tlsServer is an export behind TLS.
type tlsServer struct {
	*Server
	address Address
	ca      testCA
	allowed atomic.Bool
}

func serveTLS(t testing.TB, o Options) *tlsServer {
	t.Helper()
	s := &tlsServer{ca: newTestCA(t)}
	s.allowed.Store(true)
	var err error
	s.Server, err = NewServer(o)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = Address{Host: l.Addr().String(), Name: o.Name}
	config := s.ca.server(t, &s.allowed)
	served := make(chan error, 1)
	go func() { served <- s.ServeTLS(l, config) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, <-served)
	})
	return s
}

func TestSuite_throughTLS(t *testing.T) {
	for _, c := range []struct {
		name   string
		client ClientOptions
		change func(*Options)
	}{
		{"structured replies", ClientOptions{}, nil},
		{"simple replies, short requests below", ClientOptions{SimpleReplies: true},
			func(o *Options) { o.Limits.MaxBytes = 3 * 4096 }},
		{"waits in the kernel", ClientOptions{}, func(o *Options) { o.Waits = netio.NewWaits() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			blocktest.Run(t, func(t *testing.T) block.Device {
				d := newMem(t, testSize)
				o := Options{Queue: queueOf(t, d, 4), Limits: d.Limits(), Name: "root"}
				if c.change != nil {
					c.change(&o)
				}
				s := serveTLS(t, o)
				c.client.TLS = s.ca.client(t, "guest")
				return dial(t, s.address, c.client)
			})
		})
	}
}

// Long requests are encrypted piece by piece, while the socket has no room for them.
func TestTLS_longestRequests(t *testing.T) {
	for _, waits := range []*netio.Waits{nil, netio.NewWaits()} {
		d := newMem(t, 128<<20)
		s := serveTLS(t, Options{Queue: queueOf(t, d, 4), Limits: d.Limits(), Name: "root", Waits: waits})
		c := dial(t, s.address, ClientOptions{TLS: s.ca.client(t, "guest")})
		want := make([]byte, MaxPayloadBytes)
		for i := 0; i < len(want); i += 512 {
			binary.BigEndian.PutUint64(want[i:], uint64(i)+1)
		}
		require.NoError(t, c.Write(t.Context(), want, 512, 0))
		got := make([]byte, MaxPayloadBytes)
		for range 3 {
			clear(got)
			require.NoError(t, c.Read(t.Context(), got, 512))
			require.True(t, bytes.Equal(want, got))
		}
		require.NoError(t, c.Close())
	}
}

func TestTLS_refusals(t *testing.T) {
	s := serveTLS(t, heldOptions(make(held, 1)))
	soon := time.Now().Add(time.Hour)
	with := func(pairs ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: s.ca.pool(), Certificates: pairs}
	}
	old := with(s.ca.sign(t, "guest", soon, x509.ExtKeyUsageClientAuth))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS12
	for name, config := range map[string]*tls.Config{
		"no certificate":     with(),
		"somebody else":      with(s.ca.sign(t, "other", soon, x509.ExtKeyUsageClientAuth)),
		"of another CA":      with(newTestCA(t).sign(t, "guest", soon, x509.ExtKeyUsageClientAuth)),
		"expired":            with(s.ca.sign(t, "guest", time.Now().Add(-time.Minute), x509.ExtKeyUsageClientAuth)),
		"for servers":        with(s.ca.sign(t, "guest", soon, x509.ExtKeyUsageServerAuth)),
		"TLS 1.2 and before": old,
	} {
		_, err := Dial(t.Context(), s.address, ClientOptions{TLS: config})
		require.ErrorContains(t, err, "remote error: tls:", name)
	}
	require.Zero(t, s.Server.clients())

	_, err := Dial(t.Context(), s.address, ClientOptions{TLS: &tls.Config{RootCAs: newTestCA(t).pool()}})
	require.ErrorContains(t, err, "unknown authority", "a client verifies the server, too")
	_, err = Dial(t.Context(), s.address, ClientOptions{})
	require.ErrorContains(t, err, "no credentials")
	require.NoError(t, dial(t, s.address, ClientOptions{TLS: s.ca.client(t, "guest")}).Close())
}

func (s *Server) clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) - len(s.strangers)
}

// plain connects and greets in the clear.
func (s *tlsServer) plain(t *testing.T) net.Conn {
	t.Helper()
	socket, err := net.Dial("tcp", s.address.Host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = socket.Close() })
	require.NoError(t, socket.SetDeadline(time.Now().Add(10*time.Second)))
	require.NoError(t, hail(socket))
	return socket
}

func TestTLS_notInTheClear(t *testing.T) {
	s := serveTLS(t, heldOptions(make(held, 1)))
	socket := s.plain(t)
	refusal, err := ask(socket, optGo, infoRequest{Name: "root"}.append(nil), nil)
	require.NoError(t, err)
	require.ErrorContains(t, refusal, "with TLS only")
	_, err = socket.Write(appendOption(nil, optExportName, []byte("root")))
	require.NoError(t, err)
	_, err = socket.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// Who stands between client and server may put words behind the client's wish for TLS. They end the connection, and
// never count as said by the client that goes through the handshake.
func TestTLS_whatWasSaidInTheClearIsNotTaken(t *testing.T) {
	s := serveTLS(t, heldOptions(make(held, 1)))
	socket := s.plain(t)
	_, err := socket.Write(append(appendOption(nil, optStartTLS, nil), appendOption(nil, optStructuredReply, nil)...))
	require.NoError(t, err)
	_, err = io.ReadFull(socket, make([]byte, optReplyBytes))
	require.NoError(t, err, "the option itself is answered")
	// The handshake cannot go on: that the server closed may show as a reset.
	require.Error(t, tls.Client(socket, s.ca.client(t, "guest")).Handshake())
}

func TestTLS_strangersAreBounded(t *testing.T) {
	o := heldOptions(make(held, 1))
	o.Strangers, o.Connections = 2, 1
	s := serveTLS(t, o)
	client := dial(t, s.address, ClientOptions{TLS: s.ca.client(t, "guest")})
	first, second := s.plain(t), s.plain(t)
	third := s.plain(t)
	_, err := first.Read(make([]byte, 1))
	require.Error(t, err, "the oldest makes room") // its end is a reset if the server had not read all that it said
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	for _, socket := range []net.Conn{second, third} {
		refusal, err := ask(socket, optList, nil, nil)
		require.NoError(t, err)
		require.Error(t, refusal, "the others go on")
	}
	_, err = Dial(t.Context(), s.address, ClientOptions{TLS: s.ca.client(t, "guest")})
	require.Error(t, err, "one client too many")
	require.NoError(t, client.Close())
	require.Eventually(t, func() bool { return s.clients() == 0 }, 5*time.Second, time.Millisecond)
	require.NoError(t, dial(t, s.address, ClientOptions{TLS: s.ca.client(t, "guest")}).Close())
}

// Whoever floods the port makes room at his own cost: who comes from elsewhere gets on with his handshake.
func TestTLS_strangersOfOneAddressDoNotEndOthers(t *testing.T) {
	o := heldOptions(make(held, 1))
	o.Strangers = 3
	s := serveTLS(t, o)
	guest := s.plain(t)
	elsewhere := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for range 4 * o.Strangers {
		socket, err := elsewhere.Dial("tcp", s.address.Host)
		require.NoError(t, err)
		defer socket.Close()
		require.NoError(t, socket.SetDeadline(time.Now().Add(10*time.Second)))
		require.NoError(t, hail(socket), "it was taken up")
	}
	refusal, err := ask(guest, optStartTLS, nil, nil)
	require.NoError(t, errors.Join(err, refusal))
	config := s.ca.client(t, "guest")
	config.ServerName = "127.0.0.1"
	require.NoError(t, tls.Client(guest, config).Handshake())
}

func TestOrigin(t *testing.T) {
	for a, want := range map[net.Addr]string{
		&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7}:                "10.0.0.1/32",
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1:2:3:4"), Port: 7}:     "2001:db8::/64",
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 7}: "fe80::/64",
		&net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1"), Port: 7}:       "10.0.0.1/32",
		&net.UnixAddr{Name: "x", Net: "unix"}:                           "invalid Prefix",
	} {
		require.Equal(t, want, origin(a).String())
	}
}

func TestTLS_handshakeIsBounded(t *testing.T) {
	config := newTestCA(t).server(t, &atomic.Bool{})
	for what, said := range map[string][]byte{
		"nothing": nil,
		"an option": append(binary.BigEndian.AppendUint32(nil, bothFlags),
			appendOption(nil, optStartTLS, nil)...),
	} {
		synctest.Test(t, func(t *testing.T) {
			s, err := NewServer(heldOptions(make(held, 1)))
			require.NoError(t, err)
			here, there := net.Pipe()
			began := time.Now()
			ended := make(chan error, 1)
			go func() { ended <- newConn(s, there, config).serve() }()
			go func() {
				_, _ = here.Write(said)
				_ = here.SetReadDeadline(time.Now().Add(2 * handshakeTimeout))
			}()
			go func() { _, _ = io.Copy(io.Discard, here) }()
			require.ErrorIs(t, <-ended, os.ErrDeadlineExceeded, what)
			require.Equal(t, handshakeTimeout, time.Since(began), what)
			require.NoError(t, here.Close())
		})
	}
}

func TestTLS_recheckEndsWhoIsNotAdmittedAnyMore(t *testing.T) {
	queue := make(held, 1)
	s := serveTLS(t, heldOptions(queue))
	c := dial(t, s.address, ClientOptions{TLS: s.ca.client(t, "guest")})
	s.Recheck()
	result := write(c, make([]byte, 512), 0)
	r := <-queue
	r.Complete(r, nil)
	require.NoError(t, <-result, "who is admitted goes on")
	s.allowed.Store(false)
	s.Recheck()
	require.ErrorIs(t, c.Flush(t.Context()), block.ErrUnreachable)
	require.NoError(t, c.Close())
	_, err := Dial(t.Context(), s.address, ClientOptions{TLS: s.ca.client(t, "guest")})
	require.ErrorContains(t, err, "remote error: tls:")
}

// Whoever is at the end of its handshake while it is no longer admitted does not slip through.
func TestTLS_recheckMeetsAHandshake(t *testing.T) {
	s := serveTLS(t, heldOptions(make(held, 1)))
	s.allowed.Store(false)
	here, there := net.Pipe()
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	c := newConn(s.Server, there, s.ca.server(t, &s.allowed))
	s.mu.Lock()
	s.welcome(c)
	s.mu.Unlock()
	pair := s.ca.sign(t, "guest", time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth)
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	by := &secured{state: tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}}
	require.ErrorContains(t, s.introduce(c, by), "not admitted")
	require.Nil(t, c.secured)
}

// heard is a connection that keeps what came last.
type heard struct {
	net.Conn
	last []byte
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.last = append(h.last, p[:n]...)
	h.last = h.last[max(0, len(h.last)-alertBytes):]
	return n, err
}

// alertBytes is how long the record of an alert is in TLS 1.3: a header, the alert, its type and what seals them.
const alertBytes = 5 + 2 + 1 + 16

// A client has to take an end without a goodbye for an attack. crypto/tls does not, so the record is looked for.
func TestTLS_endsInOrder(t *testing.T) {
	s := serveTLS(t, heldOptions(make(held, 1)))
	connected := func() (net.Conn, *heard) {
		h := &heard{Conn: s.plain(t)}
		refusal, err := ask(h, optStartTLS, nil, nil)
		require.NoError(t, errors.Join(refusal, err))
		config := s.ca.client(t, "guest")
		config.ServerName = "127.0.0.1"
		stream := tls.Client(h, config)
		_, _, err = choose(stream, "root", ClientOptions{})
		require.NoError(t, err)
		return stream, h
	}
	ends := func(stream net.Conn, h *heard) {
		t.Helper()
		_, err := stream.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.Equal(t, []byte{23, 3, 3, 0, alertBytes - 5}, h.last[:5])
	}
	stream, h := connected()
	_, err := stream.Write(request{Type: cmdDisc}.append(nil))
	require.NoError(t, err)
	ends(stream, h)
	stream, h = connected()
	_, err = stream.Write(make([]byte, requestBytes)) // it is no request: the connection is dropped
	require.NoError(t, err)
	_, err = stream.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.NotEqual(t, []byte{23, 3, 3, 0, alertBytes - 5}, h.last[:5], "the test can tell")
	// The server may not be done with the handshake yet when it stops: that is no reason to be impolite.
	stream, h = connected()
	require.NoError(t, s.Shutdown(context.Background()))
	ends(stream, h)
}

func TestServeTLS_refusesToLetAnybodyIn(t *testing.T) {
	s, err := NewServer(heldOptions(make(held, 1)))
	require.NoError(t, err)
	open := newTestCA(t).server(t, &atomic.Bool{})
	open.ClientAuth = tls.VerifyClientCertIfGiven
	unchecked := newTestCA(t).server(t, &atomic.Bool{})
	unchecked.VerifyConnection = nil
	for _, config := range []*tls.Config{nil, {}, open, unchecked} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.ErrorContains(t, s.ServeTLS(l, config), "lets anybody in")
		_, err = net.Dial("tcp", l.Addr().String())
		require.Error(t, err, "nobody listens any more")
	}
}

func TestCarrier_isBounded(t *testing.T) {
	here, there := net.Pipe()
	k := &carrier{Conn: there}
	k.collect(true)
	for range carriedBytesMax / recordBytes {
		_, err := k.Write(make([]byte, recordBytes))
		require.NoError(t, err)
	}
	_, err := k.Write([]byte{1})
	require.Error(t, err)
	require.Len(t, k.take(), carriedBytesMax)
	_, err = k.Write([]byte("behind"))
	require.NoError(t, err)
	k.collect(false)
	go func() {
		_, _ = k.Write([]byte(" that"))
		_ = there.Close()
	}()
	got, err := io.ReadAll(here)
	require.NoError(t, err)
	require.Equal(t, "behind that", string(got), "what was collected goes first")
}

func TestLoadTLS(t *testing.T) {
	ca := newTestCA(t)
	pair := ca.sign(t, "guest", time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth)
	dir := ca.directory(t, pair)
	d := newMem(t, testSize)
	s := serveTLS(t, Options{Queue: queueOf(t, d, 1), Limits: d.Limits(), Name: "root"})
	s.address.Certificates = s.ca.directory(t, s.ca.sign(t, "guest", time.Now().Add(time.Hour),
		x509.ExtKeyUsageClientAuth))
	require.NoError(t, dial(t, s.address, ClientOptions{}).Close())
	s.address.Certificates = dir
	_, err := Dial(t.Context(), s.address, ClientOptions{})
	require.ErrorContains(t, err, "unknown authority")
	require.NoError(t, os.WriteFile(filepath.Join(dir, FileCA), nil, 0o600))
	_, err = LoadTLS(dir)
	require.ErrorContains(t, err, "holds no certificate")
	require.NoError(t, os.Remove(filepath.Join(dir, FileCA)))
	_, err = LoadTLS(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}
