package coordinator

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// trio is three coordinators with real raft logs, over memory for raft and loopback for HTTP.
type trio struct {
	t       *testing.T
	members []*member
	rounds  atomic.Uint64 // of heartbeats that all were sent
}

type member struct {
	node   raft.Node
	raft   *raft.Coordinator
	c      *Coordinator
	server *httptest.Server
	trans  *hraft.InmemTransport
	stop   func()
}

// signed adds to every request what a client certificate would say.
type signed struct{ id volume.NodeID }

func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("X-Test-Node", s.id.String())
	return http.DefaultTransport.RoundTrip(r)
}

func newTrio(t *testing.T) *trio {
	w := &trio{t: t}
	dir := t.TempDir()
	var bootstrap []raft.Member
	for _, name := range []string{"n1", "n2", "n3"} {
		m := &member{node: raft.Node{ID: volume.NewNodeID(), Name: name, Raft: name, Portal: name + ":3",
			Roles:   []raft.Role{raft.RoleCoordinator, raft.RoleStorage, raft.RoleHost},
			ChapKey: volume.NodeKey{1},
			Stores:  []raft.Store{{ID: volume.NewStoreID(), Name: "disk1"}}}}
		_, m.trans = hraft.NewInmemTransport(hraft.ServerAddress(name))
		w.members = append(w.members, m)
		bootstrap = append(bootstrap, raft.Member{ID: m.node.ID, Addr: name})
	}
	for _, a := range w.members {
		for _, b := range w.members {
			a.trans.Connect(b.trans.LocalAddr(), b.trans)
		}
	}
	cluster := raft.InitCluster{Name: "c", ID: volume.NewClusterID(), Incarnation: volume.NewClusterID()}
	for _, m := range w.members {
		w.open(m, filepath.Join(dir, m.node.Name), bootstrap, cluster)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var beats sync.WaitGroup
	beats.Go(func() { w.beat(ctx) })
	t.Cleanup(func() {
		cancel()
		beats.Wait()
		for _, m := range w.members {
			m.stop()
		}
	})
	return w
}

func (w *trio) open(m *member, dir string, bootstrap []raft.Member, cluster raft.InitCluster) {
	w.t.Helper()
	var err error
	m.raft, err = raft.Open(raft.Options{ID: m.node.ID, Dir: dir, Transport: m.trans, Bootstrap: bootstrap,
		Timing: raft.Timing{Heartbeat: 150 * time.Millisecond, Lease: 100 * time.Millisecond,
			Commit: 5 * time.Millisecond}})
	require.NoError(w.t, err)
	m.c, err = New(Options{Raft: m.raft, Self: m.node.ID, Identify: identifyTest,
		Reach: by(signed{m.node.ID}), Scheme: "http",
		Cluster: cluster, Tick: 50 * time.Millisecond,
		Liveness: raft.LivenessOptions{Interval: 100 * time.Millisecond, Timeout: time.Second}})
	require.NoError(w.t, err)
	mux := http.NewServeMux()
	mux.Handle("/peer/", m.c.PeerHandler())
	mux.Handle("/", asRoot(m.c.APIHandler()))
	m.server = httptest.NewServer(mux)
	m.node.API = strings.TrimPrefix(m.server.URL, "http://")
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { m.c.Run(ctx) })
	m.stop = sync.OnceFunc(func() {
		cancel()
		run.Wait()
		m.trans.DisconnectAll()
		require.NoError(w.t, m.raft.Close())
		m.server.CloseClientConnections()
		m.server.Close()
	})
}

// beat registers every node and sends its heartbeats to every coordinator.
func (w *trio) beat(ctx context.Context) {
	for seq := uint64(1); ctx.Err() == nil; seq++ {
		for _, from := range w.members {
			for _, to := range w.members {
				w.send(ctx, from, to, peer.PathHeartbeat,
					peer.Heartbeat{Version: peer.Version, Node: from.node.ID, Start: 1, Seq: seq, PID: 1})
				if seq%5 == 1 {
					w.send(ctx, from, to, peer.PathRegister, raft.RegisterNode{Node: from.node})
				}
			}
		}
		w.rounds.Store(seq)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// heardByAll waits until every member was sent every node's heartbeat since now: what it heard of a node before it
// knew it, it has forgotten.
func (w *trio) heardByAll() {
	w.t.Helper()
	begun := w.rounds.Load()
	require.Eventually(w.t, func() bool { return w.rounds.Load() >= begun+2 }, 20*time.Second, 10*time.Millisecond)
}

func (w *trio) send(ctx context.Context, from, to *member, path string, body any) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	payload, err := json.Marshal(body)
	if err != nil {
		return
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.server.URL+path, bytes.NewReader(payload))
	if err != nil {
		return
	}
	if res, err := (signed{from.node.ID}).RoundTrip(r); err == nil { // one that is down answers nothing
		_ = res.Body.Close()
	}
}

// nodes asks a member's public API.
func (w *trio) nodes(m *member) ([]api.Node, int) {
	res, err := http.Get(m.server.URL + "/v1/nodes")
	if err != nil {
		return nil, 0
	}
	defer res.Body.Close()
	var out []api.Node
	_ = json.NewDecoder(res.Body).Decode(&out) // what is no list stays empty
	return out, res.StatusCode
}

// leader waits until members agree on a leader that all nodes have registered with and returns it.
func (w *trio) leader(members []*member) *member {
	w.t.Helper()
	var found *member
	require.Eventually(w.t, func() bool {
		for _, asked := range members {
			list, status := w.nodes(asked)
			i := slices.IndexFunc(list, func(n api.Node) bool { return n.Leader })
			if status != http.StatusOK || len(list) != 3 || i < 0 {
				return false
			}
			for _, m := range members {
				if m.node.ID.String() == list[i].ID {
					found = m
				}
			}
		}
		return found != nil && found.raft.Leading()
	}, 20*time.Second, 50*time.Millisecond)
	return found
}

func (w *trio) others(m *member) []*member {
	return slices.DeleteFunc(slices.Clone(w.members), func(o *member) bool { return o == m })
}

// TestTrio_anyNodeAnswersForAll: followers pass calls on to the leader; when that goes, the next one
// knows at once who lives, since it heard all heartbeats.
func TestTrio_anyNodeAnswersForAll(t *testing.T) {
	w := newTrio(t)
	first := w.leader(w.members)
	for _, m := range w.members {
		list, status := w.nodes(m)
		require.Equal(t, http.StatusOK, status, m.node.Name)
		require.Len(t, list, 3)
	}
	w.heardByAll()
	first.stop()
	rest := w.others(first)
	second := w.leader(rest)
	require.NotEqual(t, first, second)
	for _, m := range rest {
		list, status := w.nodes(m)
		require.Equal(t, http.StatusOK, status)
		for _, n := range list {
			require.Equal(t, 1, n.PID, "%s was heard by the new leader before it led", n.Name)
		}
	}
	last := w.others(second)
	last = slices.DeleteFunc(last, func(m *member) bool { return m == first })
	second.stop()
	require.Eventually(t, func() bool {
		res, err := http.Get(last[0].server.URL + "/v1/health")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		var h api.Health
		return json.NewDecoder(res.Body).Decode(&h) == nil && h.Status == api.NoQuorum
	}, 20*time.Second, 50*time.Millisecond, "one of three decides nothing, and says so")
}
