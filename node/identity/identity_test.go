package identity

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// cluster is a CA with its id.
type cluster struct {
	id volume.ClusterID
	ca *CA
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	id := volume.NewClusterID()
	ca, err := NewCA("prod", id, time.Now())
	require.NoError(t, err)
	return cluster{id, ca}
}

func (c cluster) issue(t *testing.T, o NodeOptions) (Files, volume.NodeID) {
	t.Helper()
	if o.Name == "" {
		o.Name = "n1"
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	o.ID = volume.NewNodeID()
	dir := t.TempDir()
	f := Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "node.pem"),
		Key: filepath.Join(dir, "node.key")}
	require.NoError(t, c.ca.Issue(o, f))
	return f, o.ID
}

func (c cluster) node(t *testing.T) *Identity {
	t.Helper()
	f, _ := c.issue(t, NodeOptions{})
	id, err := Load(f)
	require.NoError(t, err)
	return id
}

// handshake connects two ends and returns what each found.
func handshake(
	t *testing.T, server, client *tls.Config,
) (seen tls.ConnectionState, onServer, onClient error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	require.NoError(t, err)
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			err = conn.(*tls.Conn).Handshake()
			seen = conn.(*tls.Conn).ConnectionState()
			if err == nil {
				_, err = conn.Write([]byte("!"))
			}
			_ = conn.Close()
		}
		done <- err
	}()
	conn, onClient := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.Addr().String(),
		client)
	if onClient == nil {
		// In TLS 1.3 the client hears of its refusal with the first read.
		_, onClient = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	onServer = <-done // and with it seen is there
	return seen, onServer, onClient
}

func TestHandshake_betweenNodesOfOneCluster(t *testing.T) {
	c := newCluster(t)
	server, client := c.node(t), c.node(t)
	seen, onServer, onClient := handshake(t, server.ServerTLS(), client.ClientTLS())
	require.NoError(t, onServer)
	require.NoError(t, onClient)
	require.Equal(t, uint16(tls.VersionTLS13), seen.Version)
	node, err := PeerNode(seen, c.id)
	require.NoError(t, err)
	require.Equal(t, client.Node(), node)
}

func TestHandshake_refusals(t *testing.T) {
	c, other := newCluster(t), newCluster(t)
	server := c.node(t)
	// A certificate of the right CA that names a node of another cluster.
	foreignID := volume.NewClusterID()
	foreign := cluster{foreignID, &CA{cluster: foreignID, cert: c.ca.cert, key: c.ca.key}}
	noCert := c.node(t).ClientTLS()
	noCert.GetClientCertificate = nil
	trusting := other.node(t).ClientTLS()
	trusting.RootCAs = server.pool
	oldVersion := c.node(t).ClientTLS()
	oldVersion.MinVersion, oldVersion.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	otherName := c.node(t).ClientTLS()
	otherName.ServerName = "n9"

	for name, test := range map[string]struct {
		server, client *tls.Config
		byServer       bool // who refuses
	}{
		"client without certificate":          {server.ServerTLS(), noCert, true},
		"client of another CA":                {server.ServerTLS(), trusting, true},
		"client of another cluster":           {server.ServerTLS(), foreign.node(t).ClientTLS(), true},
		"client with TLS 1.2":                 {server.ServerTLS(), oldVersion, true},
		"server of another CA":                {other.node(t).ServerTLS(), c.node(t).ClientTLS(), false},
		"server of another cluster":           {foreign.node(t).ServerTLS(), c.node(t).ClientTLS(), false},
		"server whose name is not the wanted": {server.ServerTLS(), otherName, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, onServer, onClient := handshake(t, test.server, test.client)
			require.Error(t, onClient)
			if test.byServer {
				require.Error(t, onServer)
			}
		})
	}
}

// Who calls one node tells another one nothing, whose certificate is as good and names the same address.
func TestOnlyNode(t *testing.T) {
	c := newCluster(t)
	wanted, other, client := c.node(t), c.node(t), c.node(t)
	_, _, err := handshake(t, wanted.ServerTLS(), OnlyNode(client.ClientTLS(), wanted.Node()))
	require.NoError(t, err)
	_, _, err = handshake(t, other.ServerTLS(), OnlyNode(client.ClientTLS(), wanted.Node()))
	require.ErrorContains(t, err, "node "+wanted.Node().String()+" was called, and node "+other.Node().String()+
		" answered")
	_, _, err = handshake(t, other.ServerTLS(), OnlyNode(client.ClientTLS(), volume.NodeID{}))
	require.NoError(t, err, "who knows no name takes any")
	foreign := newCluster(t).node(t)
	_, _, err = handshake(t, foreign.ServerTLS(), OnlyNode(client.ClientTLS(), foreign.Node()))
	require.ErrorContains(t, err, "certificate", "the rest is looked at as before")
}

func TestIssue_namesAddressesAndModes(t *testing.T) {
	c := newCluster(t)
	hosts := []string{"10.1.2.3", "web-1.example", "127.0.0.1"}
	f, node := c.issue(t, NodeOptions{Name: "web-1", Hosts: hosts})
	id, err := Load(f)
	require.NoError(t, err)
	require.Equal(t, node, id.Node())
	require.Equal(t, c.id, id.Cluster())
	leaf := id.pair.Leaf
	for _, host := range []string{"web-1", "localhost", "web-1.example", "127.0.0.1", "::1", "10.1.2.3"} {
		require.NoError(t, leaf.VerifyHostname(host))
	}
	require.Error(t, leaf.VerifyHostname("10.1.2.4"))
	require.False(t, leaf.IsCA)
	require.True(t, leaf.NotBefore.Before(time.Now()), "a clock that is behind finds it valid")
	for _, path := range []string{f.CA, f.Cert, f.Key} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), path)
	}
	require.ErrorIs(t, c.ca.Issue(NodeOptions{Name: "web-1", ID: node, Now: time.Now()}, f), fs.ErrExist)
}

func TestCA_savedAndLoadedSignsAsBefore(t *testing.T) {
	c := newCluster(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	require.NoError(t, c.ca.Save(cert, key))
	require.ErrorIs(t, c.ca.Save(cert, key), fs.ErrExist)
	loaded, err := LoadCA(c.id, cert, key)
	require.NoError(t, err)
	_, onServer, onClient := handshake(t, c.node(t).ServerTLS(), cluster{c.id, loaded}.node(t).ClientTLS())
	require.NoError(t, onServer)
	require.NoError(t, onClient)

	foreign := filepath.Join(dir, "foreign.key")
	require.NoError(t, newCluster(t).ca.Save(filepath.Join(dir, "foreign.pem"), foreign))
	_, err = LoadCA(c.id, cert, foreign)
	require.ErrorContains(t, err, "does not belong")
}

func TestLoad_refusals(t *testing.T) {
	c := newCluster(t)
	good, _ := c.issue(t, NodeOptions{})
	second, _ := c.issue(t, NodeOptions{})
	expired, _ := c.issue(t, NodeOptions{Now: time.Now().Add(24 * time.Hour)}) // not valid yet
	open, _ := c.issue(t, NodeOptions{})
	require.NoError(t, os.Chmod(open.Key, 0o640))
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	foreign, _ := newCluster(t).issue(t, NodeOptions{})

	for name, test := range map[string]struct {
		files Files
		want  string
	}{
		"missing key":        {Files{good.CA, good.Cert, "/no/such.key"}, "/no/such.key"},
		"key open to others": {open, "chmod 600"},
		"empty key":          {Files{good.CA, good.Cert, empty}, "PRIVATE KEY"},
		"empty certificate":  {Files{good.CA, empty, good.Key}, "CERTIFICATE"},
		"another's key":      {Files{good.CA, good.Cert, second.Key}, "does not belong"},
		"another CA":         {Files{foreign.CA, good.Cert, good.Key}, "not valid under"},
		"not valid yet":      {expired, "is not valid before"},
		"no node's name":     {Files{good.CA, good.CA, good.Key}, "does not belong"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(test.files)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestNodeOf_refusesWhatIsNoNode(t *testing.T) {
	node, id := volume.NewNodeID(), volume.NewClusterID()
	parse := func(text string) *url.URL {
		u, err := url.Parse(text)
		require.NoError(t, err)
		return u
	}
	good := nodeURI(id, node)
	gotCluster, gotNode, err := NodeOf(&x509.Certificate{URIs: []*url.URL{parse("https://x/"), good}})
	require.NoError(t, err)
	require.Equal(t, id, gotCluster)
	require.Equal(t, node, gotNode)
	for _, uris := range [][]*url.URL{
		nil, {good, good}, {parse("holdfast://" + id.String() + "/user/" + node.String())},
		{parse("holdfast://x/node/" + node.String())}, {parse(good.String() + "/more")},
		{parse(good.String() + "?x=1")},
	} {
		_, _, err := NodeOf(&x509.Certificate{URIs: uris})
		require.Error(t, err, "%v", uris)
	}
}
