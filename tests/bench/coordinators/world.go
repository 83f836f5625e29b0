package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// world is the cluster: real coordinators, and everything else played.
type world struct {
	cluster  *devcluster.Cluster
	api      *api.Client
	disks    *disks
	sizes    *sizes
	peers    []peer.Peer
	machines []*machine
	keys     map[volume.NodeID]*identity.Identity

	mu       sync.Mutex
	serves   map[string]serving // by volume
	refusals map[string]int
}

// serving is the newest epoch in which a volume served, and since when.
type serving struct {
	epoch volume.Epoch
	at    time.Time
}

// newWorld makes the coordinators of a program and starts them.
func newWorld(ctx context.Context, dir, program string) (*world, error) {
	cluster, err := devcluster.Create(devcluster.Options{Dir: dir, Executable: program}, []devcluster.NodeSpec{
		{Name: "c1", Roles: []raft.Role{raft.RoleCoordinator}},
		{Name: "c2", Roles: []raft.Role{raft.RoleCoordinator}},
		{Name: "c3", Roles: []raft.Role{raft.RoleCoordinator}},
	})
	if err != nil {
		return nil, err
	}
	w := &world{cluster: cluster, disks: newDisks(), sizes: newSizes(), keys: map[volume.NodeID]*identity.Identity{},
		serves: map[string]serving{}, refusals: map[string]int{}}
	for _, n := range cluster.Nodes() {
		w.peers = append(w.peers, peer.Peer{ID: n.ID, API: n.Listen.API})
	}
	if err := cluster.Up(ctx); err != nil {
		return nil, err
	}
	w.api, err = api.NewClient(api.ClientOptions{Endpoints: cluster.API(), Patience: time.Minute})
	return w, err
}

// addMachines makes n nodes, every second one a host and the others storage nodes, with certificates of the
// cluster's CA, and lets them play.
func (w *world) addMachines(ctx context.Context, n int) error {
	first := w.cluster.Nodes()[0]
	own, err := identity.Load(identity.Files{CA: filepath.Join(w.cluster.Dir(), first.Name, "ca.pem"),
		Cert: filepath.Join(w.cluster.Dir(), first.Name, "node.pem"),
		Key:  filepath.Join(w.cluster.Dir(), first.Name, "node.key")})
	if err != nil {
		return err
	}
	ca, err := identity.LoadCA(own.Cluster(), filepath.Join(w.cluster.Dir(), "ca", "ca.pem"),
		filepath.Join(w.cluster.Dir(), "ca", "ca.key"))
	if err != nil {
		return err
	}
	for i := range n {
		m := &machine{world: w, legs: map[volume.LegID]volume.ID{}, engines: map[volume.AttachID]*engine{}}
		m.self = raft.Node{ID: volume.NewNodeID(), API: fmt.Sprintf("192.0.2.%d:7000", i+1)}
		if i%2 == 0 {
			m.self.Name, m.self.Roles = hostName(i/2), []raft.Role{raft.RoleHost}
		} else {
			m.self.Name, m.self.Roles = fmt.Sprintf("s%02d", i/2+1), []raft.Role{raft.RoleStorage}
			m.self.Portal, m.self.KeyGen = fmt.Sprintf("192.0.2.%d:3260", i+1), 1
			m.self.ChapKey = volume.NodeKey{byte(i + 1)}
			m.self.Stores = []raft.Store{{ID: volume.NewStoreID(), Name: "disk0"}}
		}
		path := func(end string) string { return filepath.Join(w.cluster.Dir(), "played-"+m.self.Name+end) }
		files := identity.Files{CA: path("-ca.pem"), Cert: path(".pem"), Key: path(".key")}
		if err := ca.Issue(identity.NodeOptions{Name: m.self.Name, ID: m.self.ID, Now: time.Now()}, files); err != nil {
			return err
		}
		if w.keys[m.self.ID], err = identity.Load(files); err != nil {
			return err
		}
		m.client = w.newClient(m.self.ID)
		m.ctx, m.stop = context.WithCancel(ctx)
		w.machines = append(w.machines, m)
		m.run()
	}
	return w.await(ctx, "all nodes are up", func() (bool, error) {
		nodes, err := w.api.Nodes(ctx)
		up := 0
		for _, n := range nodes {
			if n.State == api.NodeUp {
				up++
			}
		}
		return up == len(w.machines)+len(w.peers), err
	})
}

func hostName(i int) string { return fmt.Sprintf("h%02d", i+1) }

func (w *world) newClient(id volume.NodeID) *peer.Client {
	return peer.NewClient(peer.ClientOptions{Peers: w.peers, TLS: w.keys[id].ClientTLS()})
}

// served notes that a volume serves in an epoch.
func (w *world) served(name string, e volume.Epoch, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.serves[name].epoch < e {
		w.serves[name] = serving{e, at}
	}
}

func (w *world) serving(name string) serving {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.serves[name]
}

func (w *world) refused(command string, r *raft.Refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusals[command+": "+string(r.Code)]++
}

// await polls until something holds.
func (w *world) await(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok && err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting until %s: %w (last: %w)", what, ctx.Err(), err)
		}
		pause.For(ctx, 50*time.Millisecond)
	}
}

// close ends everything and removes the cluster.
func (w *world) close() error {
	for _, m := range w.machines {
		m.stop()
	}
	for _, m := range w.machines {
		m.work.Wait()
		m.client.Close()
	}
	w.api.Close()
	err := w.cluster.Down(true)
	w.cluster.Close()
	return err
}

// sizes are the largest and the mean size of what was said, in bytes of JSON.
type sizes struct {
	mu   sync.Mutex
	seen map[string]*size
}

type size struct{ n, sum, most int }

func newSizes() *sizes { return &sizes{seen: map[string]*size{}} }

// note weighs one in sixteen of what is said often.
func (s *sizes) note(kind string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[kind] == nil {
		s.seen[kind] = &size{}
	}
	z := s.seen[kind]
	if z.n++; z.n%16 != 1 {
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		return
	}
	z.sum, z.most = z.sum+len(text)*16, max(z.most, len(text))
}
