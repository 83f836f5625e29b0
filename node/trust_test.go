package node_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/enroll"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
)

// oldCA makes a cluster of one node that does not run yet, and returns the CA that can make certificates of
// any age.
func oldCA(t *testing.T, lifetime time.Duration) (*config.Config, *identity.CA) {
	t.Helper()
	m := machine(t, "n1")
	c, err := enroll.Found("prod", m, lifetime)
	require.NoError(t, err)
	a, err := enroll.LoadAuthority(c.DataDir)
	require.NoError(t, err)
	ca, err := identity.ParseCA(c.Cluster.ID, a.Cert, a.Key)
	require.NoError(t, err)
	return c, ca
}

func leaf(t *testing.T, c *config.Config) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(c.TLS.Cert)
	require.NoError(t, err)
	der, err := identity.DER(text)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert
}

// issued replaces a node's certificate by one that was issued long ago.
func issued(t *testing.T, c *config.Config, ca *identity.CA, ago, lifetime time.Duration) *x509.Certificate {
	t.Helper()
	old := leaf(t, c)
	der, err := ca.Sign(identity.NodeOptions{Name: c.Name, ID: c.ID, Hosts: identity.HostsOf(old),
		Now: time.Now().Add(-ago), Lifetime: lifetime}, old.PublicKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.TLS.Cert, identity.PEM(der), 0o600))
	return leaf(t, c)
}

// joined makes a second node of the cluster, which does not run yet.
func joined(t *testing.T, client *api.Client, first *config.Config) *config.Config {
	t.Helper()
	m := machine(t, "n2")
	c, _, err := enroll.Join(t.Context(), enroll.JoinOptions{Token: joinToken(t, client, time.Hour),
		Address: first.Listen.API, Machine: m, Patience: -1})
	require.NoError(t, err)
	return c
}

// dirOf returns where a node's node.yaml is.
func dirOf(c *config.Config) string { return filepath.Dir(c.TLS.Key) }

// socketClient returns a client of a node's socket.
func socketClient(t *testing.T, c *config.Config) *api.Client {
	t.Helper()
	client, err := api.NewClient(api.ClientOptions{Endpoints: "unix://" + c.APISocket, Patience: patience})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// shown returns the certificate that a node's API shows.
func shown(address string, as *tls.Config) (*x509.Certificate, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", address, as)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// ask makes one call with a certificate.
func ask(t *testing.T, c *config.Config, method, path string, as *tls.Config) (int, string) {
	t.Helper()
	return askFor(t, c, method, path, as, "")
}

// askFor is ask on behalf of a caller, who is named as nodes name each other those whose calls they pass on.
func askFor(t *testing.T, c *config.Config, method, path string, as *tls.Config, caller string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+c.Listen.API+path, nil)
	require.NoError(t, err)
	if caller != "" {
		r.Header.Set("X-Holdfast-Caller", caller)
	}
	transport := &http.Transport{TLSClientConfig: as}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

// Certificates that are due are renewed while the nodes run: with the same key, from the leader, and at both
// ends of connections, also by whoever loaded the old one before.
func TestRenewal_runningNodesTakeTheirNextCertificateUp(t *testing.T) {
	const lifetime = 2 * time.Minute
	first, ca := oldCA(t, lifetime)
	nodes := []*config.Config{first}
	old := []*x509.Certificate{issued(t, first, ca, lifetime-30*time.Second, lifetime)}
	serve(t, enroll.ConfigFile(dirOf(first)))
	awaitNodes(t, first.APISocket, 1)
	second := joined(t, socketClient(t, first), first)
	nodes = append(nodes, second)
	old = append(old, issued(t, second, ca, lifetime-30*time.Second, lifetime))
	before, err := identity.Load(second.TLS)
	require.NoError(t, err)
	serve(t, enroll.ConfigFile(dirOf(second)))

	for i, c := range nodes {
		var now *x509.Certificate
		require.Eventually(t, func() bool {
			now, err = shown(c.Listen.API, before.ClientTLS())
			return err == nil && now.SerialNumber.Cmp(old[i].SerialNumber) != 0
		}, patience, 20*time.Millisecond, "%s shows its next certificate", c.Name)
		require.True(t, now.NotAfter.After(old[i].NotAfter))
		require.True(t, identity.SameKey(now, old[i].PublicKey))
		require.Equal(t, identity.HostsOf(old[i]), identity.HostsOf(now))
		require.Equal(t, leaf(t, c).Raw, now.Raw, "it is kept for the next start")
	}
	require.Equal(t, leaf(t, second).Raw, before.Certificate().Raw, "who loaded the old one shows the next one")
	code, text := ask(t, first, http.MethodGet, "/v1/health", before.ClientTLS())
	require.Equal(t, http.StatusOK, code, text)
	awaitNodes(t, first.APISocket, 2)
}

// A certificate that is over is told so, with what to do: at the start, and by who is asked.
func TestRenewal_anExpiredCertificateIsToldSo(t *testing.T) {
	first, ca := oldCA(t, time.Minute)
	serve(t, enroll.ConfigFile(dirOf(first)))
	awaitNodes(t, first.APISocket, 1)
	second := joined(t, socketClient(t, first), first)
	issued(t, second, ca, time.Hour, time.Minute)
	err := node.Serve(t.Context(), enroll.ConfigFile(dirOf(second)), nil)
	require.ErrorIs(t, err, identity.ErrExpired)
	require.ErrorContains(t, err, "holdfast cluster join")

	pair, err := tls.LoadX509KeyPair(second.TLS.Cert, second.TLS.Key)
	require.NoError(t, err)
	as := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}
	for path, method := range map[string]string{"/v1/health": http.MethodGet, peer.PathRenew: http.MethodPost} {
		code, text := ask(t, first, method, path, as)
		require.Equal(t, http.StatusForbidden, code, path)
		require.Contains(t, text, "expired at", path)
	}
}

// knocks connects to a node's raft listener as another coordinator does, and returns what comes of it:
// a deadline if the listener waits for more.
func knocks(t *testing.T, c *config.Config, as *tls.Config) error {
	t.Helper()
	as = as.Clone()
	as.NextProtos = []string{"holdfast-raft/" + c.Cluster.Incarnation.String()}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", c.Listen.Raft, as)
	if err != nil {
		return err
	}
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(300*time.Millisecond)))
	_, err = conn.Read(make([]byte, 1))
	return err
}

// The certificate of a node that was removed is good for nothing, long before it is over: it hears that it
// left, and neither the API nor the coordinators let it in.
func TestRemoved_itsCertificateIsRefused(t *testing.T) {
	first, client := founded(t, "prod")
	second := joined(t, client, first)
	stop := serve(t, enroll.ConfigFile(dirOf(second)))
	awaitNodes(t, first.APISocket, 2)
	id, err := identity.Load(second.TLS)
	require.NoError(t, err)
	code, text := ask(t, first, http.MethodGet, "/v1/health", id.ClientTLS())
	require.Equal(t, http.StatusOK, code, text)
	require.ErrorIs(t, knocks(t, first, id.ClientTLS()), os.ErrDeadlineExceeded, "a coordinator is let in")
	as := id.ClientTLS()
	as.NextProtos = []string{"holdfast-raft/" + first.Cluster.Incarnation.String()}
	kept, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", first.Listen.Raft, as)
	require.NoError(t, err)
	defer kept.Close()

	require.NoError(t, stop())
	require.NoError(t, client.RemoveNode(t.Context(), "n2", api.Wait{}, nil))
	awaitNodes(t, first.APISocket, 1)
	for path, method := range map[string]string{
		"/v1/health": http.MethodGet, "/v1/volumes": http.MethodGet, "/v1/tokens": http.MethodGet,
		"/metrics": http.MethodGet, "/target/sessions": http.MethodGet, peer.PathRenew: http.MethodPost,
		peer.PathHeartbeat: http.MethodPost, peer.PathStill: http.MethodPost,
	} {
		code, text := ask(t, first, method, path, id.ClientTLS())
		require.Equal(t, http.StatusForbidden, code, path)
		require.Contains(t, text, "left the cluster", path)
	}
	code, text = ask(t, first, http.MethodGet, peer.PathAssignment+"?node="+second.ID.String(), id.ClientTLS())
	require.Equal(t, http.StatusOK, code, "it hears that it has nothing to do any more: "+text)
	err = knocks(t, first, id.ClientTLS())
	require.ErrorContains(t, err, "bad certificate")
	require.NoError(t, kept.SetDeadline(time.Now().Add(patience)))
	_, err = kept.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "a connection of before the removal ends, too")
}

// A node that the cluster knows gets another certificate only for who shows its last one. Another CA's does not do,
// though it names the same node of the same cluster and its key.
func TestJoin_aKnownNodeIsNotTakenOver(t *testing.T) {
	first, client := founded(t, "prod")
	second := joined(t, client, first)
	serve(t, enroll.ConfigFile(dirOf(second)))
	awaitNodes(t, first.APISocket, 2)
	forger, err := identity.NewCA("prod", first.Cluster.ID, time.Now())
	require.NoError(t, err)
	issued(t, second, forger, 0, time.Hour)
	again := func() error {
		_, again, err := enroll.Join(t.Context(), enroll.JoinOptions{Token: joinToken(t, client, time.Hour),
			Address: first.Listen.API, Machine: enroll.Machine{Name: "n2", Dir: dirOf(second), DataDir: second.DataDir,
				RunDir: second.RunDir}, Patience: -1})
		require.True(t, again)
		return err
	}
	require.ErrorContains(t, again(), "not one that this cluster gave")
	require.NoError(t, os.Remove(second.TLS.Cert))
	require.ErrorContains(t, again(), "last certificate")
}

// What a removed node says of itself through a node that is no coordinator, and cannot know that it left, is
// worth nothing either: neither as itself, nor as root there, nor as another node.
func TestRemoved_itsCallsAreNotPassedOnAsAnothers(t *testing.T) {
	first, client := founded(t, "prod")
	second := joined(t, client, first)
	stop := serve(t, enroll.ConfigFile(dirOf(second)))
	awaitNodes(t, first.APISocket, 2)
	id, err := identity.Load(second.TLS)
	require.NoError(t, err)
	require.NoError(t, stop())
	require.NoError(t, client.RemoveNode(t.Context(), "n2", api.Wait{}, nil))
	awaitNodes(t, first.APISocket, 1)
	m := machine(t, "n3")
	m.Roles = []raft.Role{raft.RoleHost}
	third, _, err := enroll.Join(t.Context(), enroll.JoinOptions{Token: joinToken(t, client, time.Hour),
		Address: first.Listen.API, Machine: m, Patience: -1})
	require.NoError(t, err)
	serve(t, enroll.ConfigFile(m.Dir))
	awaitNodes(t, first.APISocket, 2)
	awaitNodes(t, third.APISocket, 2) // root's call is passed on by a node that is part of the cluster
	for _, caller := range []string{"", "root", "node " + first.ID.String()} {
		for _, path := range []string{"/v1/tokens", "/v1/cluster/backup", "/v1/health"} {
			code, text := askFor(t, third, http.MethodGet, path, id.ClientTLS(), caller)
			require.Equal(t, http.StatusForbidden, code, "%q %s", caller, path)
			require.Contains(t, text, "left the cluster", "%q %s", caller, path)
		}
		for _, path := range []string{"/metrics", "/target/sessions"} { // which the node answers itself
			code, text := askFor(t, third, http.MethodGet, path, id.ClientTLS(), caller)
			require.Equal(t, http.StatusForbidden, code, "%q %s", caller, path)
			require.Contains(t, text, "left the cluster", "%q %s", caller, path)
		}
	}
	good, err := identity.Load(first.TLS)
	require.NoError(t, err)
	code, text := ask(t, third, http.MethodGet, "/metrics", good.ClientTLS())
	require.Equal(t, http.StatusOK, code, text)
}

// A machine that got a certificate and never registered is put out like a node: by its name, or its id.
func TestRemoved_oneThatNeverRegistered(t *testing.T) {
	first, client := founded(t, "prod")
	for _, byID := range []bool{false, true} {
		m := machine(t, "ghost")
		ghost, _, err := enroll.Join(t.Context(), enroll.JoinOptions{Token: joinToken(t, client, time.Hour),
			Address: first.Listen.API, Machine: m, Patience: -1})
		require.NoError(t, err)
		id, err := identity.Load(ghost.TLS)
		require.NoError(t, err)
		name := "ghost"
		if byID {
			name = ghost.ID.String()
		}
		require.NoError(t, client.RemoveNode(t.Context(), name, api.Wait{}, nil))
		require.ErrorContains(t, client.RemoveNode(t.Context(), name, api.Wait{}, nil), "there is no node")
		for _, path := range []string{"/v1/cluster/backup", "/metrics"} {
			code, text := ask(t, first, http.MethodGet, path, id.ClientTLS())
			require.Equal(t, http.StatusForbidden, code, path)
			require.Contains(t, text, "left the cluster", path)
		}
		require.ErrorContains(t, knocks(t, first, id.ClientTLS()), "bad certificate")
	}
}

// A machine that got a certificate and has not registered may register, and nothing else: neither as itself nor as
// root there nor as another node, on a coordinator and on a node that is none.
func TestUnregistered_mayOnlyRegister(t *testing.T) {
	first, client := founded(t, "prod")
	host := machine(t, "h1")
	host.Roles = []raft.Role{raft.RoleHost}
	h1, _, err := enroll.Join(t.Context(), enroll.JoinOptions{Token: joinToken(t, client, time.Hour),
		Address: first.Listen.API, Machine: host, Patience: -1})
	require.NoError(t, err)
	serve(t, enroll.ConfigFile(host.Dir))
	awaitNodes(t, h1.APISocket, 2)
	ghost := joined(t, client, first)
	id, err := identity.Load(ghost.TLS)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the host has heard of it
		code, _ := ask(t, h1, http.MethodGet, "/metrics", id.ClientTLS())
		return code == http.StatusForbidden
	}, patience, 20*time.Millisecond)
	for _, at := range []*config.Config{first, h1} {
		for _, caller := range []string{"", "root", "node " + first.ID.String()} {
			for _, path := range []string{"/v1/tokens", "/v1/cluster/backup", "/v1/health", "/metrics",
				"/target/sessions"} {
				code, text := askFor(t, at, http.MethodGet, path, id.ClientTLS(), caller)
				require.Contains(t, []int{http.StatusForbidden, http.StatusServiceUnavailable}, code, "%q %s", caller,
					path)
				require.Contains(t, text, "not registered", "%q %s", caller, path)
			}
		}
	}
	code, text := ask(t, first, http.MethodPost, peer.PathRenew, id.ClientTLS())
	require.Equal(t, http.StatusServiceUnavailable, code, "it lives no longer than its certificate")
	require.Contains(t, text, "not part of the cluster")
	talk := peer.NewClient(peer.ClientOptions{Peers: ghost.Peers(), TLS: id.ClientTLS()})
	defer talk.Close()
	_, err = talk.Command(t.Context(), raft.Command{LegDeleted: &raft.LegDeleted{}})
	require.ErrorContains(t, err, "may register, and nothing else")
	a, err := talk.Assignment(t.Context(), ghost.ID, 0)
	require.NoError(t, err)
	require.False(t, a.Registered)

	serve(t, enroll.ConfigFile(dirOf(ghost)))
	awaitNodes(t, ghost.APISocket, 3)
	for _, at := range []*config.Config{first, h1} {
		require.Eventually(t, func() bool {
			code, _ := ask(t, at, http.MethodGet, "/metrics", id.ClientTLS())
			return code == http.StatusOK
		}, patience, 20*time.Millisecond)
		code, text := ask(t, at, http.MethodGet, "/v1/tokens", id.ClientTLS())
		require.Equal(t, http.StatusOK, code, text)
	}
}

// The raft port is for coordinators: a host's certificate, and that of a machine that did not register, get no
// further than the handshake.
func TestRaftPort_isForCoordinators(t *testing.T) {
	first, client := founded(t, "prod")
	host := machine(t, "h1")
	host.Roles = []raft.Role{raft.RoleHost}
	h1, _, err := enroll.Join(t.Context(), enroll.JoinOptions{Token: joinToken(t, client, time.Hour),
		Address: first.Listen.API, Machine: host, Patience: -1})
	require.NoError(t, err)
	stranger, err := identity.Load(h1.TLS)
	require.NoError(t, err)
	refused := func() {
		t.Helper()
		err := knocks(t, first, stranger.ClientTLS())
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "it was let in")
	}
	refused()
	serve(t, enroll.ConfigFile(host.Dir))
	awaitNodes(t, first.APISocket, 2)
	refused()

	second := joined(t, client, first)
	serve(t, enroll.ConfigFile(dirOf(second)))
	awaitNodes(t, first.APISocket, 3)
	id, err := identity.Load(second.TLS)
	require.NoError(t, err)
	require.ErrorIs(t, knocks(t, first, id.ClientTLS()), os.ErrDeadlineExceeded, "a coordinator is let in")
	err = knocks(t, second, stranger.ClientTLS())
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the one that was added refuses it, too")
}

// Another node of the cluster that has a coordinator's address hears nothing that is meant for that one: from a daemon
// or engine, or from whoever passes a call on.
func TestAddress_ofACoordinatorIsNotEnough(t *testing.T) {
	first, client := founded(t, "prod")
	second := joined(t, client, first) // it does not run: who has its certificate plays a coordinator
	impostor, err := identity.Load(second.TLS)
	require.NoError(t, err)
	heard := make(chan string, 16)
	l, err := tls.Listen("tcp", "127.0.0.1:0", impostor.ServerTLS())
	require.NoError(t, err)
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.URL.Path })}
	go func() { _ = server.Serve(l) }()
	defer func() { require.NoError(t, server.Close()) }()

	id, err := identity.Load(first.TLS)
	require.NoError(t, err)
	var told bytes.Buffer
	talk := peer.NewClient(peer.ClientOptions{TLS: id.ClientTLS(), Logger: slog.New(slog.NewTextHandler(&told, nil)),
		Peers: []peer.Peer{{ID: first.ID, API: l.Addr().String()}}})
	defer talk.Close()
	wrong := "node " + first.ID.String() + " was called, and node " + second.ID.String() + " answered"
	_, err = talk.Heartbeat(t.Context(), peer.Heartbeat{Node: first.ID})
	require.ErrorContains(t, err, wrong)
	_, err = talk.Assignment(t.Context(), first.ID, 0)
	require.ErrorContains(t, err, wrong)
	require.Equal(t, 1, strings.Count(told.String(), wrong), "it is said once a minute")

	web := peer.NewTransports(id.ClientTLS(), nil, func(c *tls.Config) *http.Transport {
		return &http.Transport{TLSClientConfig: c}
	})
	defer web.CloseIdleConnections()
	proxy := api.NewProxy(api.ProxyOptions{Reach: web.To, Targets: func() []api.Target {
		return []api.Target{{Node: first.ID, Address: l.Addr().String()}}
	}})
	w := httptest.NewRecorder()
	proxy.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/health", nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), wrong)
	require.Empty(t, heard)

	talk.SetPeers([]peer.Peer{{ID: second.ID, API: l.Addr().String()}}) // whom it is known for, it is
	_, err = talk.Assignment(t.Context(), first.ID, 0)
	require.Error(t, err)
	require.Equal(t, peer.PathAssignment, <-heard)
}
