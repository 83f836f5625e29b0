package engine

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/node/coordinator"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/node/storage"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/target"
	"github.com/holdfast-storage/holdfast/volume"
)

const volumeBytes = 8 << 20

// cluster is one coordinator without a log (raft's pure state behind TLS), storage nodes with real
// legs and targets on loopback, and one host. What the engine talks to is what it talks to outside.
type cluster struct {
	t     *testing.T
	peer  peer.Peer
	host  volume.NodeID
	files identity.Files
	ca    *identity.CA
	nodes []*storageNode

	mu      sync.Mutex
	state   *raft.State
	rev     uint64
	changed chan struct{}
	down    bool
	last    peer.EngineStatus // of the latest heartbeat
}

func newCluster(t *testing.T, storageNodes int) *cluster {
	c := &cluster{t: t, host: volume.NewNodeID(), state: raft.NewState(), changed: make(chan struct{})}
	id := volume.NewClusterID()
	ca, err := identity.NewCA("test", id, time.Now())
	require.NoError(t, err)
	c.ca = ca
	dir := t.TempDir()
	issue := func(name string, node volume.NodeID) identity.Files {
		f := identity.Files{CA: filepath.Join(dir, name+"-ca"), Cert: filepath.Join(dir, name+"-cert"),
			Key: filepath.Join(dir, name+"-key")}
		require.NoError(t, ca.Issue(identity.NodeOptions{Name: name, ID: node, Hosts: []string{"127.0.0.1"},
			Now: time.Now()}, f))
		return f
	}
	c.files = issue("h1", c.host)
	coordinatorID := volume.NewNodeID()
	served, err := identity.Load(issue("c1", coordinatorID))
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(c)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	// StartTLS puts a certificate of its own into the settings, unless they are chosen for each client.
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return served.ServerTLS(), nil
	}}
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections() // ends the watches, which Close waits for
		server.Close()
	})
	c.peer = peer.Peer{ID: coordinatorID, API: server.Listener.Addr().String()}
	c.apply(raft.Command{InitCluster: &raft.InitCluster{Name: "test", ID: id, Incarnation: id}})
	c.register(raft.Node{ID: coordinatorID, Name: "c1", Roles: []raft.Role{raft.RoleCoordinator}, API: c.peer.API,
		Raft: "127.0.0.1:1"})
	c.register(raft.Node{ID: c.host, Name: "h1", Roles: []raft.Role{raft.RoleHost}, API: "127.0.0.1:2"})
	for i := range storageNodes {
		c.nodes = append(c.nodes, newStorageNode(c, "n"+strconv.Itoa(i+1)))
	}
	return c
}

func (c *cluster) register(n raft.Node) {
	c.apply(raft.Command{RegisterNode: &raft.RegisterNode{Node: n}})
}

// apply commits a command that must be accepted.
func (c *cluster) apply(cmd raft.Command) raft.Result {
	c.t.Helper()
	r := c.commit(cmd)
	if r.Err != nil {
		c.t.Fatalf("refused: %s", r.Err.Message)
	}
	return r
}

func (c *cluster) commit(cmd raft.Command) raft.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cmd.Activate != nil {
		cmd.Activate.Waited = true // the clock that says so is not what is tested here
	}
	r := c.state.Apply(cmd)
	c.rev++
	close(c.changed)
	c.changed = make(chan struct{})
	return r
}

func (c *cluster) setDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// volume returns a copy of the named volume's state.
func (c *cluster) volume(name string) raft.Volume {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.state.VolumeByName(name)
}

// ServeHTTP answers as a coordinator that leads.
func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	down := c.down
	c.mu.Unlock()
	if down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case peer.PathEngineHeartbeat:
		var h peer.EngineHeartbeat
		if json.NewDecoder(r.Body).Decode(&h) == nil && h.Version == peer.Version && h.Node == c.host {
			c.mu.Lock()
			c.last = h.Engine
			c.mu.Unlock()
		}
		_ = json.NewEncoder(w).Encode(peer.HeartbeatReply{Leader: c.peer.ID})
	case peer.PathCommand:
		var cmd raft.Command
		if err := json.NewDecoder(r.Body).Decode(&cmd); err != nil || !cmd.EngineCommand() {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(c.commit(cmd))
	case peer.PathTicket:
		c.serveTicket(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (c *cluster) serveTicket(w http.ResponseWriter, r *http.Request) {
	id, _ := volume.ParseUUID(r.FormValue("volume"))
	attach, _ := volume.ParseUUID(r.FormValue("attach"))
	after, _ := strconv.ParseUint(r.FormValue("after"), 10, 64)
	for {
		c.mu.Lock()
		changed, rev := c.changed, c.rev
		v := c.state.Volumes[volume.ID{UUID: id}]
		gone := v == nil || v.Attach == nil || v.Attach.ID.UUID != attach
		var t peer.Ticket
		if !gone {
			t = coordinator.BuildTicket(c.state, v, 2*time.Second)
			t.Revision = rev
		}
		c.mu.Unlock()
		switch {
		case gone:
			w.WriteHeader(http.StatusGone)
			return
		case rev > after:
			_ = json.NewEncoder(w).Encode(t)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// createVolume makes a mirror with one leg on each of the first nodes and waits until it exists.
func (c *cluster) createVolume(name string, legs int) {
	c.t.Helper()
	create := raft.CreateVolume{ID: volume.NewID(), Name: name, SizeBytes: volumeBytes, Layout: volume.Mirror(legs),
		DataGen: volume.NewUUID()}
	for i := range legs {
		create.Legs = append(create.Legs, c.nodes[i].leg(i))
	}
	c.apply(raft.Command{CreateVolume: &create})
	c.assign()
	require.Equal(c.t, volume.PhaseDetached, c.volume(name).Phase)
}

// assign has every storage node carry out its orders.
func (c *cluster) assign() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.assign()
	}
}

// grant begins the next epoch and returns its ticket.
func (c *cluster) grant(name string) peer.Ticket {
	c.t.Helper()
	c.apply(raft.Command{BeginAttach: &raft.BeginAttach{Volume: c.volume(name).ID, Host: c.host,
		AttachID: volume.NewAttachID(), Takeover: true}})
	c.mu.Lock()
	defer c.mu.Unlock()
	t := coordinator.BuildTicket(c.state, c.state.VolumeByName(name), 2*time.Second)
	t.Revision = c.rev
	return t
}

// storageNode is one storage node: a manager with one store behind an iSCSI target.
type storageNode struct {
	cluster *cluster
	node    raft.Node
	dir     string
	manager *storage.Manager
	server  *target.Server
	served  sync.WaitGroup
}

func newStorageNode(c *cluster, name string) *storageNode {
	n := &storageNode{cluster: c, dir: c.t.TempDir()}
	n.node = raft.Node{ID: volume.NewNodeID(), Name: name, Roles: []raft.Role{raft.RoleStorage}, API: "127.0.0.1:3",
		ChapKey: volume.NodeKey{byte(len(c.nodes) + 1)}, KeyGen: 1}
	require.NoError(c.t, os.Mkdir(filepath.Join(n.dir, "store"), 0o700))
	n.start("127.0.0.1:0")
	n.node.Stores = n.manager.Stores()
	c.register(n.node)
	c.t.Cleanup(n.stop)
	return n
}

func (n *storageNode) start(address string) {
	t := n.cluster.t
	var err error
	n.manager, err = storage.New(storage.Options{
		Node: n.node.ID, NodeKey: n.node.ChapKey, RecordFile: filepath.Join(n.dir, "record"),
		Stores: []storage.StoreConfig{{Name: "main", Path: filepath.Join(n.dir, "store")}},
		Report: func(_ context.Context, cmd raft.Command) error { n.cluster.apply(cmd); return nil },
	})
	require.NoError(t, err)
	n.server, err = target.New(target.Options{Admission: n.manager})
	require.NoError(t, err)
	listener, err := target.Listen(t.Context(), address)
	require.NoError(t, err)
	n.node.Portal = listener.Addr().String()
	server := n.server
	n.served.Go(func() { _ = server.Serve(listener) })
}

// stop ends the node at once, as far as its sessions see; what it wrote stays.
func (n *storageNode) stop() {
	if n.server == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.server.Shutdown(ctx) // the context has ended: sessions are cut
	n.served.Wait()
	require.NoError(n.cluster.t, n.manager.Close())
	n.server = nil
}

// restart begins the node again where it was.
func (n *storageNode) restart() {
	n.start(n.node.Portal)
	n.assign()
}

func (n *storageNode) assign() {
	n.cluster.mu.Lock()
	a := coordinator.BuildAssignment(n.cluster.state, n.node.ID, 2*time.Second)
	a.Revision = n.cluster.rev
	n.cluster.mu.Unlock()
	n.manager.Assign(a)
	require.NoError(n.cluster.t, n.manager.Reconcile(n.cluster.t.Context()))
}

func (n *storageNode) leg(slot int) raft.NewLeg {
	return raft.NewLeg{ID: volume.NewLegID(), Node: n.node.ID, Store: n.node.Stores[0].ID, Slot: slot}
}

// runningEngine is an engine in this process.
type runningEngine struct {
	t      *testing.T
	ticket peer.Ticket
	dir    string
	stop   context.CancelFunc
	result chan error
	log    *logBuffer
}

// quick are timings that make a failed leg noticed soon.
func quick() mirror.Timing {
	return mirror.Timing{Ping: 100 * time.Millisecond, TRead: time.Second, LegLost: 500 * time.Millisecond,
		FenceWait: 500 * time.Millisecond, Retry: 20 * time.Millisecond, JoinBackOff: 50 * time.Millisecond}
}

// startEngine runs an engine with a ticket in a run directory that is short enough for a socket.
func (c *cluster) startEngine(ticket peer.Ticket) *runningEngine {
	c.t.Helper()
	dir, err := os.MkdirTemp("", "hfe")
	require.NoError(c.t, err)
	c.t.Cleanup(func() { require.NoError(c.t, os.RemoveAll(dir)) })
	return c.startEngineIn(dir, ticket)
}

func (c *cluster) startEngineIn(dir string, ticket peer.Ticket) *runningEngine {
	document, err := json.Marshal(Start{Version: StartVersion, Ticket: ticket, Node: c.host, RunDir: dir,
		Identity:     Identity{CertFile: c.files.Cert, KeyFile: c.files.Key, CAFile: c.files.CA},
		Coordinators: []peer.Peer{c.peer}})
	require.NoError(c.t, err)
	ctx, stop := context.WithCancel(context.Background())
	e := &runningEngine{t: c.t, ticket: ticket, dir: dir, stop: stop, result: make(chan error, 1), log: &logBuffer{}}
	go func() {
		e.result <- Run(ctx, Options{Input: bytes.NewReader(document), Timing: quick(),
			Logger: slog.New(slog.NewTextHandler(e.log, nil))})
	}()
	c.t.Cleanup(func() {
		stop()
		e.wait()
		if c.t.Failed() {
			c.t.Logf("engine of epoch %s:\n%s", ticket.Epoch, e.log.String())
		}
	})
	return e
}

// wait returns how the engine ended; it may be asked again.
func (e *runningEngine) wait() error {
	select {
	case err := <-e.result:
		e.result <- err
		return err
	case <-time.After(30 * time.Second):
		e.t.Fatalf("the engine does not end:\n%s", e.log.String())
		return nil
	}
}

// ask does one request on the control socket.
func (e *runningEngine) ask(r Request) (Hello, Response, error) {
	var hello Hello
	var response Response
	conn, err := net.Dial("unix", ControlSocket(e.dir))
	if err != nil {
		return hello, response, err
	}
	defer conn.Close()
	in := json.NewDecoder(conn)
	if err := in.Decode(&hello); err != nil {
		return hello, response, err
	}
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return hello, response, err
	}
	return hello, response, in.Decode(&response)
}

// status returns the engine's status, the zero one while it does not answer.
func (e *runningEngine) status() peer.EngineStatus {
	if _, r, err := e.ask(Request{Verb: VerbStatus}); err == nil && r.Status != nil {
		return *r.Status
	}
	return peer.EngineStatus{}
}

func (e *runningEngine) waitFor(what string, ok func(peer.EngineStatus) bool) {
	e.t.Helper()
	require.Eventually(e.t, func() bool { return ok(e.status()) }, 20*time.Second, 5*time.Millisecond, what)
}

func (e *runningEngine) waitState(s peer.EngineState) {
	e.t.Helper()
	e.waitFor(string(s), func(now peer.EngineStatus) bool { return now.State == s })
}

// logBuffer is a log that several goroutines write and the test reads.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

var _ io.Writer = (*logBuffer)(nil)

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
