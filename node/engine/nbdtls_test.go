package engine

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// grantTLS is grant for a volume that other machines reach, too.
func (c *cluster) grantTLS(name string) peer.Ticket {
	c.t.Helper()
	c.apply(raft.Command{RaiseVersion: &raft.RaiseVersion{To: raft.VersionLatest}})
	ticket := c.grant(name)
	ticket.Exports = []volume.ExportSetting{{Kind: volume.ExportNBDTLS, Address: "127.0.0.1:0"}}
	return ticket
}

// credential makes a guest's credential as the coordinators do.
func (c *cluster) credential(name string, lifetime time.Duration) *tls.Config {
	c.t.Helper()
	v := c.volume(name)
	c.apply(raft.Command{IssueCredential: &raft.IssueCredential{Volume: v.ID, Series: volume.NewUUID()}})
	return c.signed(identity.Guest{Volume: v.ID, Series: c.volume(name).Credentials}, lifetime)
}

func (c *cluster) signed(g identity.Guest, lifetime time.Duration) *tls.Config {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), nbd.FileKey)
	key, err := identity.NewKey(file)
	require.NoError(c.t, err)
	csr, err := key.GuestRequest()
	require.NoError(c.t, err)
	public, err := identity.ParseGuestRequest(csr)
	require.NoError(c.t, err)
	now := time.Now()
	if lifetime < 0 {
		now, lifetime = now.Add(2*lifetime), -lifetime
	}
	der, err := c.ca.SignGuest(identity.GuestOptions{Guest: g, Name: "x", Now: now, Lifetime: lifetime}, public)
	require.NoError(c.t, err)
	text, err := os.ReadFile(file)
	require.NoError(c.t, err)
	return c.as(identity.PEM(der), text)
}

// as returns a client that shows a certificate.
func (c *cluster) as(cert, key []byte) *tls.Config {
	c.t.Helper()
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(c.t, err)
	roots := x509.NewCertPool()
	require.True(c.t, roots.AppendCertsFromPEM(c.ca.Certificate()))
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
}

// tlsOffer waits until other machines can reach the volume and says how.
func (e *runningEngine) tlsOffer() (address, bound nbd.Address) {
	e.t.Helper()
	e.waitFor("the export nbd-tls", func(s peer.EngineStatus) bool { return len(s.Exports) == 2 })
	offer := e.status().Exports[1]
	require.Equal(e.t, string(volume.ExportNBDTLS), offer.Type)
	address, err := nbd.ParseURL(offer.URL)
	require.NoError(e.t, err)
	require.Equal(e.t, e.ticket.Name, address.Name)
	bound, err = nbd.ParseURL(offer.BoundURL)
	require.NoError(e.t, err)
	return address, bound
}

func TestNBDTLS_isTheVolume(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	credential := c.credential("root", time.Hour)
	e := c.startEngine(c.grantTLS("root"))
	address, bound := e.tlsOffer()
	require.Equal(t, address.Host, bound.Host)
	require.Regexp(t, `^root@`, bound.Name)
	far, err := nbd.Dial(t.Context(), address, nbd.ClientOptions{TLS: credential})
	require.NoError(t, err)
	unix, err := nbd.ParseURL(e.status().Exports[0].URL)
	require.NoError(t, err)
	near, err := nbd.Dial(t.Context(), unix, nbd.ClientOptions{})
	require.NoError(t, err)
	want := bytes.Repeat([]byte("holdfast"), 512)
	require.NoError(t, far.Write(t.Context(), want, 8192, block.FUA))
	got := make([]byte, len(want))
	require.NoError(t, near.Read(t.Context(), got, 8192))
	require.Equal(t, want, got)
	require.NoError(t, near.Close())
	require.NoError(t, far.Close())
	require.NotContains(t, e.log.String(), "PRIVATE")
}

func TestNBDTLS_whoIsLetIn(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	c.createVolume("other", 1)
	good := c.credential("root", time.Hour)
	e := c.startEngine(c.grantTLS("root"))
	address, _ := e.tlsOffer()
	v := c.volume("root")
	read := func(path string) []byte {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return text
	}
	for name, config := range map[string]*tls.Config{
		"another volume's":     c.credential("other", time.Hour),
		"of an older series":   c.signed(identity.Guest{Volume: v.ID, Series: volume.NewUUID()}, time.Hour),
		"of no series":         c.signed(identity.Guest{Volume: v.ID}, time.Hour),
		"expired":              c.credential("root", -time.Hour),
		"a node's certificate": c.as(read(c.files.Cert), read(c.files.Key)),
		"none":                 {RootCAs: good.RootCAs},
	} {
		_, err := nbd.Dial(t.Context(), address, nbd.ClientOptions{TLS: config})
		require.ErrorContains(t, err, "remote error: tls:", name)
	}
	d, err := nbd.Dial(t.Context(), address, nbd.ClientOptions{TLS: good})
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

// What is taken back ends at once, also for who is connected, while the guest on the unix socket goes on; and a volume
// that never had a credential lets nobody in.
func TestNBDTLS_takenBack(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	v := c.volume("root")
	e := c.startEngine(c.grantTLS("root"))
	address, _ := e.tlsOffer()
	_, err := nbd.Dial(t.Context(), address, nbd.ClientOptions{
		TLS: c.signed(identity.Guest{Volume: v.ID}, time.Hour)})
	require.ErrorContains(t, err, "remote error: tls:")

	first := c.credential("root", time.Hour)
	var d *nbd.Client
	require.Eventually(t, func() bool { // the engine hears of the series by its next ticket
		d, err = nbd.Dial(t.Context(), address, nbd.ClientOptions{TLS: first})
		return err == nil
	}, 20*time.Second, 5*time.Millisecond)
	unix, err := nbd.ParseURL(e.status().Exports[0].URL)
	require.NoError(t, err)
	near, err := nbd.Dial(t.Context(), unix, nbd.ClientOptions{})
	require.NoError(t, err)

	c.apply(raft.Command{RevokeCredentials: &raft.RevokeCredentials{Volume: v.ID, Series: volume.NewUUID()}})
	require.Eventually(t, func() bool { return d.Flush(t.Context()) != nil }, 20*time.Second, 5*time.Millisecond)
	_, err = nbd.Dial(t.Context(), address, nbd.ClientOptions{TLS: first})
	require.ErrorContains(t, err, "remote error: tls:")
	require.NoError(t, near.Flush(t.Context()))
	require.NoError(t, near.Close())
	require.NoError(t, d.Close())

	next, err := nbd.Dial(t.Context(), address, nbd.ClientOptions{TLS: c.credential("root", time.Hour)})
	require.NoError(t, err, "those made afterwards are good")
	require.NoError(t, next.Close())
	require.Contains(t, e.log.String(), "taken back")
}

// A guest that asks for the bound name does not get what is there after a loss of what it may have read.
func TestNBDTLS_theBoundNameGoesWithTheAttachment(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	credential := c.credential("root", time.Hour)
	e := c.startEngine(c.grantTLS("root"))
	_, bound := e.tlsOffer()
	d, err := nbd.Dial(t.Context(), bound, nbd.ClientOptions{TLS: credential})
	require.NoError(t, err)
	require.NoError(t, d.Close())
	_, response, err := e.ask(Request{Verb: VerbDetach})
	require.NoError(t, err)
	require.Empty(t, response.Error)
	require.NoError(t, e.wait())

	again := c.startEngineIn(e.dir, c.grantTLS("root"))
	address, newBound := again.tlsOffer()
	require.NotEqual(t, bound.Name, newBound.Name)
	bound.Host = address.Host
	_, err = nbd.Dial(t.Context(), bound, nbd.ClientOptions{TLS: credential})
	require.ErrorContains(t, err, `the export's name is "root"`)
}

func TestNBDTLS_anAddressThatTheCertificateDoesNotName(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	ticket := c.grant("root")
	ticket.Exports = []volume.ExportSetting{{Kind: volume.ExportNBDTLS, Address: "127.0.0.9:0"}}
	e := c.startEngine(ticket)
	e.waitState(peer.EngineServing)
	e.waitFor("the fault", func(s peer.EngineStatus) bool { return len(s.Faults) == 1 })
	require.Contains(t, e.status().Faults[0].Error, "does not name 127.0.0.9")
}

func TestGuestHost(t *testing.T) {
	ca, err := identity.NewCA("test", volume.NewClusterID(), time.Now())
	require.NoError(t, err)
	for _, x := range []struct {
		hosts         []string
		address, want string
		err           string
	}{
		{[]string{"10.1.0.3"}, "0.0.0.0:10809", "10.1.0.3", ""},
		{[]string{"10.1.0.3"}, "[::]:10809", "10.1.0.3", ""},
		{[]string{"fd00::3", "10.1.0.3"}, "0.0.0.0:10809", "10.1.0.3", ""},
		{[]string{"fd00::3", "10.1.0.3"}, "[::]:10809", "fd00::3", ""},
		{[]string{"h1.example"}, "0.0.0.0:10809", "h1.example", ""},
		{nil, "0.0.0.0:10809", "127.0.0.1", ""},
		{[]string{"10.1.0.3"}, "10.1.0.3:10809", "10.1.0.3", ""},
		{[]string{"10.1.0.3"}, "127.0.0.1:10809", "127.0.0.1", ""},
		{[]string{"10.1.0.3"}, "10.1.0.4:10809", "", "does not name 10.1.0.4"},
		{[]string{"h1.example"}, "10.1.0.4:10809", "", "(h1, localhost, h1.example, 127.0.0.1, ::1)"},
		{nil, "nowhere", "", "nowhere"},
	} {
		dir := t.TempDir()
		f := identity.Files{CA: filepath.Join(dir, "ca"), Cert: filepath.Join(dir, "cert"),
			Key: filepath.Join(dir, "key")}
		require.NoError(t, ca.Issue(identity.NodeOptions{Name: "h1", ID: volume.NewNodeID(), Hosts: x.hosts,
			Now: time.Now()}, f))
		id, err := identity.Load(f)
		require.NoError(t, err)
		host, err := guestHost(id.Certificate(), x.address)
		require.Equal(t, x.want, host, "%v %s", x.hosts, x.address)
		if x.err == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, x.err)
		}
	}
}
