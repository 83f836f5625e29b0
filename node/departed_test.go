package node

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/volume"
)

// logOf is what a coordinator's log says of one node.
type logOf struct{ removed, registered, whole bool }

func (l logOf) Removed(api.Caller) *api.Error      { return refusedIf(l.removed) }
func (l logOf) Unregistered(api.Caller) *api.Error { return refusedIf(!l.registered) }

func (l logOf) Waits() bool { return !l.whole }

func refusedIf(yes bool) *api.Error {
	if !yes {
		return nil
	}
	return api.Errorf(api.CodeRefused, "", "", "refused")
}

// TestDeparted: every pair of what the log and the latest assignment can say of a node. A coordinator that waits to
// be added has an empty log; it must not trust a node that left.
func TestDeparted(t *testing.T) {
	node := volume.NewNodeID()
	caller := api.Caller{Kind: api.CallerNode, Node: node}
	left := &outsiders{departed: []volume.NodeID{node}}
	others := &outsiders{departed: []volume.NodeID{volume.NewNodeID()}}
	for _, c := range []struct {
		name    string
		state   memberships
		known   *outsiders
		refused bool
	}{
		{"no coordinator, no assignment yet", nil, nil, false},
		{"no coordinator, it is no outsider", nil, others, false},
		{"no coordinator, it left", nil, left, true},
		{"an empty log, no assignment yet", logOf{}, nil, false},
		{"an empty log, it is no outsider", logOf{}, others, false},
		{"an empty log, it left", logOf{}, left, true},
		{"the log says that it left", logOf{removed: true}, others, true},
		{"the log has it and the assignment is older", logOf{registered: true}, left, false},
	} {
		err := departed(caller, c.state, c.known)
		require.Equal(t, c.refused, err != nil, c.name)
	}
	passedOn := api.Caller{Kind: api.CallerToken, Via: []volume.NodeID{volume.NewNodeID(), node}}
	require.NotNil(t, departed(passedOn, logOf{}, left), "it came through a node that left")
	require.NotNil(t, departed(passedOn, nil, left), "the same without a coordinator")
	require.Nil(t, departed(passedOn, logOf{}, others))
}

// TestUnregistered: every pair of what the log and the latest assignment can say of a node that wants to see what this
// one shows of itself. A coordinator that waits to be added has an empty log, and shows itself to others nevertheless.
func TestUnregistered(t *testing.T) {
	node := volume.NewNodeID()
	caller := api.Caller{Kind: api.CallerNode, Node: node}
	waits := &outsiders{unregistered: []volume.NodeID{node}}
	others := &outsiders{unregistered: []volume.NodeID{volume.NewNodeID()}}
	for _, c := range []struct {
		name    string
		state   memberships
		known   *outsiders
		refused bool
	}{
		{"no coordinator, no assignment yet", nil, nil, true},
		{"no coordinator, it is registered", nil, others, false},
		{"no coordinator, it is not registered", nil, waits, true},
		{"an empty log, no assignment yet", logOf{}, nil, true},
		{"an empty log, it is registered", logOf{}, others, false},
		{"an empty log, it is not registered", logOf{}, waits, true},
		{"the log has it, no assignment yet", logOf{registered: true, whole: true}, nil, false},
		{"the log has it, it is registered", logOf{registered: true, whole: true}, others, false},
		{"the log has it and the assignment is older", logOf{registered: true, whole: true}, waits, false},
		{"the log has others only", logOf{whole: true}, others, true},
	} {
		require.Equal(t, c.refused, unregistered(caller, c.state, c.known) != nil, c.name)
	}
}

// certified returns the certificate of a node.
func certified(t *testing.T, cluster volume.ClusterID, id volume.NodeID) *x509.Certificate {
	t.Helper()
	dir := t.TempDir()
	ca, err := identity.NewCA("prod", cluster, time.Now())
	require.NoError(t, err)
	f := identity.Files{CA: filepath.Join(dir, "ca"), Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")}
	require.NoError(t, ca.Issue(identity.NodeOptions{Name: "n1", ID: id, Now: time.Now()}, f))
	node, err := identity.Load(f)
	require.NoError(t, err)
	return node.Certificate()
}

// A node that left is refused; what it passes on is answered so that the client asks another node: nothing is known
// against whoever asks.
func TestEdge_whatANodeThatLeftPassesOn(t *testing.T) {
	cluster, id := volume.NewClusterID(), volume.NewNodeID()
	cert := certified(t, cluster, id)
	e := &edge{cluster: cluster, strangers: newStrangers(),
		next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it got through") }),
		now:  func() time.Time { return cert.NotBefore.Add(time.Minute) },
		removed: func(api.Caller) *api.Error {
			return api.Errorf(api.CodeRefused, "", "", "it left the cluster")
		}}
	for caller, want := range map[string]api.Code{"": api.CodeRefused, "root": api.CodeNoLeader} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/volumes", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
		if caller != "" {
			r.Header.Set("X-Holdfast-Caller", caller)
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		var refusal api.Error
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &refusal), w.Body)
		require.Equal(t, want, refusal.Code, caller)
		require.Equal(t, "it left the cluster", refusal.Message)
	}
}
