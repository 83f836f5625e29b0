package node_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/enroll"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
)

// storing runs a new cluster of one node that stores and votes, with a volume.
func storing(t *testing.T) (*config.Config, *api.Client, api.Volume) {
	t.Helper()
	m := machine(t, "n1")
	m.Roles = append(m.Roles, raft.RoleStorage)
	m.Listen.ISCSI = freePort(t)
	m.Stores = []config.Store{{Name: "s1", Path: filepath.Join(m.Dir, "s1")}}
	c, err := enroll.Found("prod", m, identity.DefaultLifetime)
	require.NoError(t, err)
	serve(t, enroll.ConfigFile(m.Dir))
	awaitNodes(t, c.APISocket, 1)
	client := socketClient(t, c)
	var v api.Volume
	require.Eventually(t, func() bool { // until the store has been measured
		v, err = client.CreateVolume(t.Context(), api.CreateVolume{Name: "v1", SizeBytes: 1 << 20, Layout: "mirror=1"})
		return err == nil
	}, patience, 50*time.Millisecond, "%v", &err)
	return c, client, v
}

// asGuest returns a client that shows the credential of a directory.
func asGuest(t *testing.T, dir string) *tls.Config {
	t.Helper()
	config, err := nbd.LoadTLS(dir)
	require.NoError(t, err)
	return config
}

// A guest's credential opens none of what a node listens for: neither the API, whatever the path, nor the raft port.
func TestCredential_opensNothingOfANode(t *testing.T) {
	c, client, v := storing(t)
	dir := filepath.Join(t.TempDir(), "guest")
	made, err := enroll.Credential(t.Context(), client, "v1", dir, 24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, v.ID, made.Volume)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), made.Expires, time.Minute)
	guest := asGuest(t, dir)

	for _, path := range []string{"/v1/health", "/v1/join", "/peer/ticket", "/metrics", "/target/stats"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.Listen.API+path, nil)
		require.NoError(t, err)
		transport := &http.Transport{TLSClientConfig: guest.Clone()}
		res, err := (&http.Client{Transport: transport}).Do(r)
		if err == nil {
			_ = res.Body.Close()
		}
		require.ErrorContains(t, err, "remote error: tls:", path)
		transport.CloseIdleConnections()
	}
	err = knocks(t, c, guest)
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "it was let in")
	id, err := identity.Load(c.TLS)
	require.NoError(t, err)
	require.ErrorIs(t, knocks(t, c, id.ClientTLS()), os.ErrDeadlineExceeded, "a coordinator is let in")
}

func TestCredential_filesOfADirectory(t *testing.T) {
	_, client, _ := storing(t)
	_, err := client.CreateVolume(t.Context(), api.CreateVolume{Name: "v2", SizeBytes: 1 << 20, Layout: "mirror=1"})
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "guest")
	get := func(name, dir string) error {
		_, err := enroll.Credential(t.Context(), client, name, dir, time.Hour)
		return err
	}
	read := func(name string) string {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	require.NoError(t, get("v1", dir))
	key, cert := read(nbd.FileKey), read(nbd.FileCert)
	require.NoError(t, get("v1", dir), "the next one, for the same key")
	require.Equal(t, key, read(nbd.FileKey))
	require.NotEqual(t, cert, read(nbd.FileCert))
	cert = read(nbd.FileCert)
	require.ErrorContains(t, get("v2", dir), "not of a credential of volume v2")
	require.Equal(t, cert, read(nbd.FileCert))
	require.Equal(t, key, read(nbd.FileKey))

	foreign := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(foreign, nbd.FileCA), []byte("another's"), 0o644))
	require.ErrorContains(t, get("v1", foreign), "choose another directory")
	text, err := os.ReadFile(filepath.Join(foreign, nbd.FileCA))
	require.NoError(t, err)
	require.Equal(t, "another's", string(text))
	require.NoFileExists(t, filepath.Join(foreign, nbd.FileKey))
	require.ErrorContains(t, get("nosuch", filepath.Join(t.TempDir(), "x")), "nosuch")
}

func TestCredential_rolesAndRequests(t *testing.T) {
	c, client, v := storing(t)
	key, err := identity.NewKey(filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	csr, err := key.GuestRequest()
	require.NoError(t, err)
	_, err = client.IssueCredential(t.Context(), v.ID, api.IssueCredential{CSR: csr, LifetimeSeconds: 1})
	require.ErrorContains(t, err, "lifetime_seconds")
	_, err = client.IssueCredential(t.Context(), v.ID, api.IssueCredential{CSR: csr[1:], LifetimeSeconds: 60})
	require.ErrorContains(t, err, "certificate signing request")
	_, err = client.IssueCredential(t.Context(), "nosuch", api.IssueCredential{CSR: csr, LifetimeSeconds: 60})
	require.ErrorContains(t, err, "nosuch")
	require.ErrorContains(t, client.RevokeCredentials(t.Context(), "nosuch"), "nosuch")

	secret, _, err := client.CreateToken(t.Context(), "op", api.RoleOperator, time.Hour)
	require.NoError(t, err)
	id, err := identity.Load(c.TLS)
	require.NoError(t, err)
	trusting := id.ClientTLS()
	trusting.GetClientCertificate = nil
	trusting.VerifyConnection = nil
	operator, err := api.NewClient(api.ClientOptions{Endpoints: "https://" + c.Listen.API, TLS: trusting,
		Token: secret.Bearer(), Patience: patience})
	require.NoError(t, err)
	defer operator.Close()
	_, err = operator.IssueCredential(t.Context(), v.ID, api.IssueCredential{CSR: csr, LifetimeSeconds: 60})
	require.ErrorContains(t, err, "needs the role admin")
	require.NoError(t, operator.RevokeCredentials(t.Context(), "v1"))

	series := func() string {
		t.Helper()
		made, err := client.IssueCredential(t.Context(), v.ID, api.IssueCredential{CSR: csr, LifetimeSeconds: 60})
		require.NoError(t, err)
		return seriesOf(t, made)
	}
	first := series()
	require.Equal(t, first, series())
	require.NoError(t, operator.RevokeCredentials(t.Context(), "v1"))
	require.NotEqual(t, first, series())
}

func seriesOf(t *testing.T, c api.Credential) string {
	t.Helper()
	cert, err := x509.ParseCertificate(c.Cert)
	require.NoError(t, err)
	guest, err := identity.GuestOf(cert)
	require.NoError(t, err)
	return guest.Series.String()
}
