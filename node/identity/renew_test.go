package identity

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// next returns another certificate (DER) for the key of an identity.
func (c cluster) next(t *testing.T, id *Identity, o NodeOptions) []byte {
	t.Helper()
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.ID == (volume.NodeID{}) {
		o.ID = id.Node()
	}
	o.Name = "n1"
	der, err := c.ca.Sign(o, id.Certificate().PublicKey)
	require.NoError(t, err)
	return der
}

// Settings that were made before a renewal show the new certificate from the next connection on, at both ends.
func TestRenew_isTakenUpByWhatRuns(t *testing.T) {
	c := newCluster(t)
	server, client := c.node(t), c.node(t)
	listens, dials := server.ServerTLS(), client.ClientTLS()
	var onClientSide []byte
	dials.VerifyConnection = func(s tls.ConnectionState) error {
		onClientSide = s.PeerCertificates[0].Raw
		return nil
	}
	both := func() (ofServer, ofClient []byte) {
		seen, onServer, onClient := handshake(t, listens, dials)
		require.NoError(t, onServer)
		require.NoError(t, onClient)
		return onClientSide, seen.PeerCertificates[0].Raw
	}
	oldServer, oldClient := both()
	newServer, newClient := c.next(t, server, NodeOptions{}), c.next(t, client, NodeOptions{Lifetime: time.Hour})
	require.NotEqual(t, oldServer, newServer)
	require.NotEqual(t, oldClient, newClient)
	require.NoError(t, server.Renew(newServer))
	require.NoError(t, client.Renew(newClient))
	ofServer, ofClient := both()
	require.Equal(t, newServer, ofServer)
	require.Equal(t, newClient, ofClient)

	loaded, err := Load(server.files)
	require.NoError(t, err)
	require.Equal(t, newServer, loaded.Certificate().Raw, "the next start has it")
}

// What is not this node's next certificate is refused or passed over, and the one that works stays.
func TestRenew_refusals(t *testing.T) {
	c := newCluster(t)
	id := c.node(t)
	works := id.Certificate().Raw
	another := c.node(t)
	anotherCA := newCluster(t)
	anotherCA.id, anotherCA.ca.cluster = c.id, c.id
	now := time.Now()
	hourAgo := now.Add(-time.Hour)
	const notFor, notOf = "not for this node", "not of this cluster's CA"
	for name, x := range map[string]struct {
		der  []byte
		want string
		ever bool // such a certificate works for the node at some time
		// fault is what is said of it when it lies in the node's file.
		fault string
	}{
		"no certificate":  {[]byte("x"), "renewed certificate", false, "certificate"},
		"another node's":  {c.next(t, id, NodeOptions{ID: volume.NewNodeID()}), notFor, false, "not node "},
		"another key's":   {c.next(t, another, NodeOptions{ID: id.Node()}), notFor, false, "does not belong"},
		"another CA's":    {anotherCA.next(t, id, NodeOptions{}), notOf, false, notOf},
		"another cluster": {newCluster(t).next(t, id, NodeOptions{}), notFor, false, notOf},
		"over":            {c.next(t, id, NodeOptions{Now: hourAgo, Lifetime: time.Minute}), "expired", true, ""},
		"not valid yet":   {c.next(t, id, NodeOptions{Now: now.Add(3 * time.Hour)}), "set the clock", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, id.Renew(x.der), x.want)
			require.Equal(t, works, id.Certificate().Raw)
			if x.ever {
				return
			}
			kept, err := os.ReadFile(id.files.Cert)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(id.files.Cert, PEM(x.der), 0o600))
			require.Equal(t, works, id.Certificate().Raw, "copied over the file by hand, it is passed over")
			require.ErrorContains(t, id.Fault(), x.fault)
			require.ErrorContains(t, id.Fault(), id.files.Cert)
			require.NoError(t, os.Remove(id.files.Cert))
			require.ErrorContains(t, id.Fault(), "no such file")
			require.Equal(t, works, id.Certificate().Raw)
			require.NoError(t, os.WriteFile(id.files.Cert, kept, 0o600))
			require.NoError(t, id.Fault(), "it was put right")
			require.Equal(t, works, id.Certificate().Raw)
		})
	}
}

func TestRenewAt_AboutToEnd_CheckTime(t *testing.T) {
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	cert := &x509.Certificate{NotBefore: from, NotAfter: from.Add(90 * time.Hour)}
	require.Equal(t, from.Add(60*time.Hour), RenewAt(cert))
	require.False(t, AboutToEnd(cert, from.Add(75*time.Hour)))
	require.True(t, AboutToEnd(cert, from.Add(75*time.Hour+time.Second)))
	require.NoError(t, CheckTime(cert, from))
	require.NoError(t, CheckTime(cert, from.Add(90*time.Hour)))
	require.ErrorIs(t, CheckTime(cert, from.Add(90*time.Hour+time.Second)), ErrExpired)
	err := CheckTime(cert, from.Add(-time.Second))
	require.ErrorContains(t, err, "set the clock")
	require.NotErrorIs(t, err, ErrExpired)
}
