package raft

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// selfSigned is a TLS configuration that both ends of a test use.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"x"}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	require.NoError(t, err)
	return &tls.Config{InsecureSkipVerify: true,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// meet has two groups shake hands, and returns what each end makes of it.
func meet(t *testing.T, dialer, listener *Group) (dialed, accepted error) {
	t.Helper()
	config := selfSigned(t)
	a, b := connected(t)
	defer a.Close()
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	answered := make(chan error, 1)
	go func() {
		server := tls.Server(b, listener.Bind(config))
		err := server.HandshakeContext(ctx)
		if err == nil {
			err = listener.Admit(server.ConnectionState())
		}
		answered <- err
		_ = b.Close()
	}()
	client := tls.Client(a, dialer.Bind(config))
	dialed = client.HandshakeContext(ctx)
	if dialed == nil { // in TLS 1.3 the other end may refuse after this one is done
		_, err := client.Read(make([]byte, 1))
		accepted = <-answered
		if accepted != nil {
			dialed = err
		}
		return dialed, accepted
	}
	_ = a.Close()
	return dialed, <-answered
}

// connected returns the two ends of a connection that takes a last alert in, which net.Pipe does not.
func connected(t *testing.T) (dialed, accepted net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	dialed, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	accepted, err = l.Accept()
	require.NoError(t, err)
	return dialed, accepted
}

func groupIn(t *testing.T, group volume.ClusterID) (*Group, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "raft")
	require.NoError(t, Prepare(dir, group))
	g, err := OpenGroup(dir)
	require.NoError(t, err)
	return g, dir
}

// Coordinators talk within their group. One that waits takes the group of who calls it, once and for good; one
// of an older release talks to its like.
func TestGroup_whoTalksToWhom(t *testing.T) {
	one, two := volume.NewClusterID(), volume.NewClusterID()
	a, _ := groupIn(t, one)
	b, _ := groupIn(t, one)
	other, _ := groupIn(t, two)
	older := &Group{dir: t.TempDir()}
	waiting, dir := groupIn(t, volume.ClusterID{})
	require.True(t, waiting.Waiting())

	agree := func(x, y *Group, want bool) {
		t.Helper()
		dialed, accepted := meet(t, x, y)
		require.Equal(t, want, dialed == nil && accepted == nil, "%v %v", dialed, accepted)
	}
	agree(a, b, true)
	agree(a, other, false)
	agree(other, a, false)
	agree(older, older, true)
	agree(older, a, false)
	agree(a, older, false)
	agree(waiting, a, false) // it does not know whom it belongs to
	agree(a, waiting, true)
	require.Equal(t, one, waiting.ID())
	agree(other, waiting, false)
	again, err := OpenGroup(dir)
	require.NoError(t, err)
	require.Equal(t, one, again.ID())
	require.False(t, again.Waiting())
	agree(other, again, false)
	agree(again, a, true)
}

// Whoever cannot prove who it is leaves a coordinator that waits as it was, also with the certificate of
// another, which everybody can get hold of.
func TestGroup_strangersAreNotFollowed(t *testing.T) {
	waiting, dir := groupIn(t, volume.ClusterID{})
	honest := selfSigned(t)
	config := honest.Clone()
	config.ClientAuth, config.MinVersion = tls.RequireAnyClientCert, tls.VersionTLS13
	call := func(certificates []tls.Certificate) error {
		a, b := connected(t)
		defer a.Close()
		defer b.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() {
			stranger := tls.Client(a, &tls.Config{InsecureSkipVerify: true, Certificates: certificates,
				NextProtos: []string{groupProtocol + volume.NewUUID().String()}})
			_ = stranger.HandshakeContext(ctx)
		}()
		server := tls.Server(b, waiting.Bind(config))
		if err := server.HandshakeContext(ctx); err != nil {
			require.Error(t, waiting.Admit(server.ConnectionState()), "nobody asks, yet")
			return err
		}
		return waiting.Admit(server.ConnectionState())
	}
	require.Error(t, call(nil), "no certificate")
	stolen := honest.Certificates[0]
	stolen.PrivateKey = selfSigned(t).Certificates[0].PrivateKey
	require.ErrorContains(t, call([]tls.Certificate{stolen}), "signature", "not its own certificate")
	require.True(t, waiting.Waiting())
	again, err := OpenGroup(dir)
	require.NoError(t, err)
	require.True(t, again.Waiting())
	require.NoError(t, call(honest.Certificates))
	require.False(t, waiting.Waiting())
}

// To be taken into a group and to begin to run can come at the same time: neither forgets the other, on disk or in
// memory.
func TestGroup_adoptedWhileItBegins(t *testing.T) {
	for range 50 {
		of := volume.NewClusterID()
		waiting, dir := groupIn(t, volume.ClusterID{})
		state := tls.ConnectionState{HandshakeComplete: true, NegotiatedProtocol: groupProtocol + of.String()}
		_, trans := hraft.NewInmemTransport("a:1")
		admitted := make(chan error, 1)
		go func() { admitted <- waiting.Admit(state) }()
		c, err := Open(Options{ID: volume.NewNodeID(), Dir: dir, Group: waiting, Transport: trans})
		require.NoError(t, err)
		require.NoError(t, <-admitted)
		require.NoError(t, c.Close())
		again, err := OpenGroup(dir)
		require.NoError(t, err)
		for _, g := range []*Group{waiting, again} {
			require.Equal(t, groupRecord{Group: of}, g.rec)
		}
	}
}

// A directory that a member ran on is never taken for a new one, whatever is left of it.
func TestGroup_lostDataAreNotNew(t *testing.T) {
	_, err := OpenGroup(filepath.Join(t.TempDir(), "raft"))
	require.ErrorIs(t, err, ErrNoData)
	_, dir := groupIn(t, volume.NewClusterID())
	require.Error(t, Prepare(dir, volume.NewClusterID()), "it is there")
	id := volume.NewNodeID()
	open := func() error {
		_, trans := hraft.NewInmemTransport("a:1")
		c, err := Open(Options{ID: id, Dir: dir, Transport: trans, Bootstrap: []Member{{ID: id, Addr: "a:1"}}})
		if err != nil {
			return err
		}
		return c.Close()
	}
	require.NoError(t, open())
	require.NoError(t, open())
	for _, name := range []string{identityFile, boltFile, snapshotsDir, bornFile} {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
	}
	require.ErrorContains(t, open(), "a member has run here")
	require.NoError(t, os.WriteFile(filepath.Join(dir, groupFile), []byte("{"), 0o600))
	_, err = OpenGroup(dir)
	require.ErrorContains(t, err, groupFile)

	other, _ := groupIn(t, volume.NewClusterID())
	_, trans := hraft.NewInmemTransport("a:1")
	_, err = Open(Options{ID: id, Dir: t.TempDir(), Group: other, Transport: trans})
	require.ErrorContains(t, err, "is not the directory of the group")
}

// A restored member leads alone, with the state it was given, and after a restart too.
func TestInstallRestored(t *testing.T) {
	s := newScript(t)
	s.apply(rulesSetUp)
	state, err := Restored(s.state, Restoration{Incarnation: volume.NewClusterID(), Generation: 1, At: at(), From: "x"})
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "raft")
	id := volume.NewNodeID()
	require.NoError(t, InstallRestored(dir, Member{ID: id, Addr: "a:1"}, state))
	require.Error(t, InstallRestored(dir, Member{ID: id, Addr: "a:1"}, state), "it is there")
	for range 2 {
		_, trans := hraft.NewInmemTransport("a:1")
		c, err := Open(Options{ID: id, Dir: dir, Transport: trans,
			Timing: Timing{Heartbeat: 50 * time.Millisecond, Lease: 50 * time.Millisecond}})
		require.NoError(t, err)
		require.Eventually(t, c.Leading, 20*time.Second, 5*time.Millisecond)
		have, _ := c.State()
		require.Equal(t, string(mustJSON(t, state)), string(mustJSON(t, have)))
		members, err := c.Members()
		require.NoError(t, err)
		require.Equal(t, []Member{{ID: id, Addr: "a:1"}}, members)
		require.NoError(t, c.Close())
	}
	g, err := OpenGroup(dir)
	require.NoError(t, err)
	require.Equal(t, state.Cluster.Incarnation, g.ID())
}
