package node_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/enroll"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
)

// freePort returns an address on loopback that nobody listens at now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// machine returns a machine that only votes, in a directory of its own.
func machine(t *testing.T, name string) enroll.Machine {
	t.Helper()
	run, err := os.MkdirTemp("", "hf-j")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	dir := t.TempDir()
	return enroll.Machine{Name: name, Dir: dir, DataDir: filepath.Join(dir, "data"), RunDir: run,
		Roles:  []raft.Role{raft.RoleCoordinator},
		Listen: config.Listen{API: freePort(t), Raft: freePort(t)}}
}

// founded runs a new cluster of one node and returns it with a client of its socket.
func founded(t *testing.T, name string) (*config.Config, *api.Client) {
	t.Helper()
	m := machine(t, "n1")
	c, err := enroll.Found(name, m, identity.DefaultLifetime)
	require.NoError(t, err)
	serve(t, enroll.ConfigFile(m.Dir))
	awaitNodes(t, c.APISocket, 1)
	client, err := api.NewClient(api.ClientOptions{Endpoints: "unix://" + c.APISocket, Patience: patience})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	_, err = enroll.Found(name, m, identity.DefaultLifetime)
	require.ErrorContains(t, err, "is node n1 of cluster "+name+" already")
	return c, client
}

func joinToken(t *testing.T, client *api.Client, ttl time.Duration) string {
	t.Helper()
	token, _, err := client.CreateJoinToken(t.Context(), "node", ttl)
	require.NoError(t, err)
	return token.Text()
}

// A token admits one machine: again if the answer was lost, and no other. Who joins learns nothing from,
// and tells nothing to, a cluster that the token does not name.
func TestJoin_aTokenAdmitsOneMachine(t *testing.T) {
	first, client := founded(t, "prod")
	token := joinToken(t, client, time.Hour)
	join := func(token, address string, m enroll.Machine) error {
		_, _, err := enroll.Join(t.Context(), enroll.JoinOptions{Token: token, Address: address, Machine: m,
			Patience: -1})
		return err
	}
	m := machine(t, "n2")
	require.NoError(t, join(token, first.Listen.API, m))
	key, err := os.ReadFile(filepath.Join(m.Dir, "node.key"))
	require.NoError(t, err)

	// The answer was lost before node.yaml was written: the same machine asks again, and is the same node.
	c, err := config.Load(enroll.ConfigFile(m.Dir))
	require.NoError(t, err)
	require.NoError(t, os.Remove(enroll.ConfigFile(m.Dir)))
	require.NoError(t, os.WriteFile(filepath.Join(m.Dir, "joining.json"),
		[]byte(`{"cluster":"`+first.Cluster.ID.String()+`","node":"`+c.ID.String()+`"}`), 0o600))
	require.NoError(t, join(token, first.Listen.API, m))
	again, err := config.Load(enroll.ConfigFile(m.Dir))
	require.NoError(t, err)
	require.Equal(t, c, again)
	same, err := os.ReadFile(filepath.Join(m.Dir, "node.key"))
	require.NoError(t, err)
	require.Equal(t, key, same)

	other := machine(t, "n3")
	require.ErrorContains(t, join(token, first.Listen.API, other), "was used already, by node n2")
	require.NoFileExists(t, enroll.ConfigFile(other.Dir))
	require.ErrorContains(t, join(joinToken(t, client, time.Hour), first.Listen.API, machine(t, "n1")),
		"there is a node n1 already")
	short := joinToken(t, client, time.Second)
	require.Eventually(t, func() bool {
		tokens, err := client.JoinTokens(t.Context())
		return err == nil && tokens[len(tokens)-1].State == api.TokenExpired
	}, patience, 50*time.Millisecond)
	require.ErrorContains(t, join(short, first.Listen.API, other), "expired at")
	unused, _, err := client.CreateJoinToken(t.Context(), "node", time.Hour)
	require.NoError(t, err)
	require.NoError(t, client.RevokeJoinToken(t.Context(), unused.Secret.ID()))
	require.ErrorContains(t, join(unused.Text(), first.Listen.API, other), "is not known")

	// Another cluster: its servers are told nothing, and its tokens are worth nothing here.
	foreign, foreignClient := founded(t, "other")
	require.ErrorContains(t, join(joinToken(t, client, time.Hour), foreign.Listen.API, other), "nothing was told to it")
	foreignToken := joinToken(t, foreignClient, time.Hour)
	require.ErrorContains(t, join(foreignToken, first.Listen.API, other), "is not of cluster other")
	require.ErrorContains(t, join(foreignToken, foreign.Listen.API, m), "is node n2 of cluster prod")

	// The node that joined runs, and joins again: the same node, another certificate.
	serve(t, enroll.ConfigFile(m.Dir))
	awaitNodes(t, first.APISocket, 2)
	before, err := os.ReadFile(c.TLS.Cert)
	require.NoError(t, err)
	require.NoError(t, join(joinToken(t, client, time.Hour), first.Listen.API, m))
	after, err := os.ReadFile(c.TLS.Cert)
	require.NoError(t, err)
	require.NotEqual(t, before, after)
	awaitNodes(t, first.APISocket, 2)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(first.DataDir, "authority.json"))
		return os.IsNotExist(err)
	}, patience, 50*time.Millisecond, "the CA's key is with the coordinators, and nowhere else")
}

// request makes one call of a node over TLS, with a token or without.
func request(t *testing.T, c *config.Config, path, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.Listen.API+path, nil)
	require.NoError(t, err)
	r.Header.Set("X-Holdfast-Caller", "root") // believed from nodes only
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

// Who shows nothing gets nothing; a token opens what its role may do, and nothing that is between nodes.
func TestAccess_overTheNetwork(t *testing.T) {
	c, client := founded(t, "prod")
	paths := []string{"/v1/ping", "/v1/health", "/v1/nodes", "/v1/tokens", "/openapi.json", "/metrics",
		"/peer/v1/assignment?node=" + c.ID.String(), "/target/sessions", "/", "/v1/join"}
	for _, path := range paths {
		code, text := request(t, c, path, "")
		require.Equal(t, map[bool]int{true: 403, false: 401}[strings.HasPrefix(path, "/peer/") || path == "/metrics" ||
			path == "/target/sessions"], code, path)
		require.NotContains(t, text, c.Cluster.ID.String())
	}
	secret, _, err := client.CreateToken(t.Context(), "look", api.RoleViewer, 0)
	require.NoError(t, err)
	admin, _, err := client.CreateToken(t.Context(), "boss", api.RoleAdmin, 0)
	require.NoError(t, err)
	for _, path := range paths[:3] {
		code, _ := request(t, c, path, secret.Bearer())
		require.Equal(t, 200, code, path)
	}
	code, text := request(t, c, "/v1/tokens", secret.Bearer())
	require.Equal(t, 403, code)
	require.Contains(t, text, "needs the role admin")
	code, text = request(t, c, "/v1/tokens", admin.Bearer())
	require.Equal(t, 200, code)
	require.NotContains(t, text, admin.Bearer())
	require.NotContains(t, text, admin.Hash())
	for _, path := range paths[5:8] {
		code, _ := request(t, c, path, admin.Bearer())
		require.Equal(t, 403, code, path)
	}
	require.NoError(t, client.RevokeToken(t.Context(), "boss"))
	code, text = request(t, c, "/v1/health", admin.Bearer())
	require.Equal(t, 401, code)
	require.Contains(t, text, "revoked")

	conn, err := net.Dial("tcp", c.Listen.Raft)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	plain := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	_, err = plain.Read(make([]byte, 1))
	require.ErrorContains(t, err, "certificate required", "raft is for nodes only")
}
