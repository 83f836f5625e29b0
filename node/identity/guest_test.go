package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// guest makes a credential as its holder does: only the request leaves it.
func (c cluster) guest(t *testing.T, g Guest, now time.Time) tls.Certificate {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pem")
	key, err := NewKey(file)
	require.NoError(t, err)
	csr, err := key.GuestRequest()
	require.NoError(t, err)
	public, err := ParseGuestRequest(csr)
	require.NoError(t, err)
	der, err := c.ca.SignGuest(GuestOptions{Guest: g, Name: "v1", Now: now, Lifetime: time.Hour}, public)
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(PEM(der), mustEncode(t, key))
	require.NoError(t, err)
	return pair
}

func mustEncode(t *testing.T, k Key) []byte {
	t.Helper()
	text, err := encodeKey(k.private)
	require.NoError(t, err)
	return text
}

// as returns a client that trusts the cluster and shows a certificate.
func (c cluster) as(pair tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: pool(c.ca.cert), Certificates: []tls.Certificate{pair}}
}

func TestGuest_opensTheExportOfItsVolume(t *testing.T) {
	c := newCluster(t)
	host := c.node(t)
	vol, series := volume.NewID(), volume.NewUUID()
	var seen []Guest
	server := host.GuestTLS(func(g Guest) error {
		seen = append(seen, g)
		if g.Volume != vol || g.Series != series {
			return errors.New("not this one")
		}
		return nil
	})
	now := time.Now()
	_, onServer, onClient := handshake(t, server, c.as(c.guest(t, Guest{Volume: vol, Series: series}, now)))
	require.NoError(t, onServer)
	require.NoError(t, onClient)
	require.Equal(t, []Guest{{Cluster: c.id, Volume: vol, Series: series}}, seen)

	node, _ := c.issue(t, NodeOptions{Name: "n2"})
	nodePair, err := tls.LoadX509KeyPair(node.Cert, node.Key)
	require.NoError(t, err)
	foreignID := volume.NewClusterID()
	foreign := cluster{foreignID, &CA{cluster: foreignID, cert: c.ca.cert, key: c.ca.key}}
	for name, pair := range map[string]tls.Certificate{
		"another volume's":     c.guest(t, Guest{Volume: volume.NewID(), Series: series}, now),
		"taken back":           c.guest(t, Guest{Volume: vol, Series: volume.NewUUID()}, now),
		"expired":              c.guest(t, Guest{Volume: vol, Series: series}, now.Add(-2*time.Hour)),
		"of another cluster":   foreign.guest(t, Guest{Volume: vol, Series: series}, now),
		"of another CA":        newCluster(t).guest(t, Guest{Volume: vol, Series: series}, now),
		"a node's certificate": nodePair,
		"none":                 {},
	} {
		_, onServer, onClient := handshake(t, server, c.as(pair))
		require.Error(t, onServer, name)
		require.Error(t, onClient, name)
	}
}

// A credential is good for exports alone: as a node nobody believes it, nor as a server.
func TestGuest_isNoNode(t *testing.T) {
	c := newCluster(t)
	host := c.node(t)
	pair := c.guest(t, Guest{Volume: volume.NewID(), Series: volume.NewUUID()}, time.Now())
	for name, server := range map[string]*tls.Config{"raft": host.ServerTLS(), "API": host.OpenServerTLS()} {
		_, onServer, onClient := handshake(t, server, c.as(pair))
		require.ErrorContains(t, onServer, "is no node's name", name)
		require.Error(t, onClient, name)
	}
	_, _, err := c.ca.Signed(pair.Certificate[0])
	require.ErrorContains(t, err, "is no node's name", "it renews nothing and proves nothing of who joins again")

	_, _, onClient := handshake(t, &tls.Config{Certificates: []tls.Certificate{pair}}, host.ClientTLS())
	require.Error(t, onClient)
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, cert.ExtKeyUsage)
	require.Empty(t, HostsOf(cert))
	require.False(t, cert.IsCA)
}

func TestSignGuest_lastsNoLongerThanTheCA(t *testing.T) {
	c := newCluster(t)
	pair := c.guest(t, Guest{Volume: volume.NewID()}, c.ca.cert.NotAfter.Add(-time.Minute))
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	require.Equal(t, c.ca.cert.NotAfter, cert.NotAfter)
}

func TestGuestOf_refusesWhatIsNone(t *testing.T) {
	parse := func(text string) *url.URL {
		u, err := url.Parse(text)
		require.NoError(t, err)
		return u
	}
	want := Guest{Cluster: volume.NewClusterID(), Volume: volume.NewID(), Series: volume.NewUUID()}
	got, err := GuestOf(&x509.Certificate{URIs: []*url.URL{parse("https://x/"), want.uri()}})
	require.NoError(t, err)
	require.Equal(t, want, got)
	base := "holdfast://" + want.Cluster.String() + "/export/" + want.Volume.String()
	for _, uris := range [][]*url.URL{
		nil, {want.uri(), want.uri()}, {want.uri(), nodeURI(want.Cluster, volume.NewNodeID())},
		{nodeURI(want.Cluster, volume.NewNodeID())}, {parse(base)}, {parse(base + "/")}, {parse(base + "/7")},
		{parse(want.uri().String() + "/8")}, {parse(want.uri().String() + "?x")},
		{parse(strings.ToUpper(want.uri().String()))},
		{parse("holdfast://x/export/" + want.Volume.String() + "/" + want.Series.String())},
		{parse("holdfast://" + want.Cluster.String() + "/export/x/" + want.Series.String())},
	} {
		_, err := GuestOf(&x509.Certificate{URIs: uris})
		require.Error(t, err, "%v", uris)
	}
}

func TestParseGuestRequest_refusals(t *testing.T) {
	key, err := NewKey(filepath.Join(t.TempDir(), "key.pem"))
	require.NoError(t, err)
	named, err := key.Request(Request{Cluster: volume.NewClusterID(), Node: volume.NewNodeID(), Hosts: []string{"h1"}})
	require.NoError(t, err)
	_, err = ParseGuestRequest(named)
	require.ErrorContains(t, err, "names somebody")
	csr, err := key.GuestRequest()
	require.NoError(t, err)
	for n := range csr {
		_, err := ParseGuestRequest(csr[:n])
		require.Error(t, err)
	}
	csr[len(csr)-1] ^= 1
	_, err = ParseGuestRequest(csr)
	require.Error(t, err, "the signature is verified")
}
