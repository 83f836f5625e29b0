package devcluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/devnet"
	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/node/enroll"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// create makes the cluster's own facts and its first nodes. cluster.json comes last: without it
// there is no cluster, and the next attempt starts over.
func create(o Options, specs []NodeSpec) (*Cluster, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if o.Network == Namespaces {
		if err := devnet.Able(); err != nil {
			return nil, err
		}
	}
	if err := checkFresh(o.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("local cluster: %w", err)
	}
	c, err := locked(o)
	if err != nil {
		return nil, err
	}
	if err := c.found(specs); err != nil {
		return nil, errors.Join(err, c.discard())
	}
	return c, nil
}

// discard removes what a failed create made of a directory that was empty.
func (c *Cluster) discard() error {
	err := c.removeFiles()
	c.Close()
	return err
}

func (c *Cluster) found(specs []NodeSpec) error {
	id := volume.NewClusterID()
	c.state = &state{
		Version: stateVersion, Name: "dev", ID: id, Incarnation: volume.NewClusterID(),
		Heartbeat: c.options.Timing.Heartbeat, DeadAfter: c.options.Timing.DeadAfter,
		TRead: c.options.Timing.TRead, Network: c.options.Network, MemoryBase: memoryBase(c.options.Dir),
	}
	if err := os.Mkdir(c.path("ca"), 0o700); err != nil {
		return fmt.Errorf("local cluster: %w", err)
	}
	ca, err := identity.NewCA(c.state.Name, id, time.Now())
	if err != nil {
		return err
	}
	if err := ca.Save(c.path("ca", "ca.pem"), c.path("ca", "ca.key")); err != nil {
		return err
	}
	for _, spec := range specs {
		node, err := c.plan(spec)
		if err != nil {
			return err
		}
		node.First = slices.Contains(spec.Roles, raft.RoleCoordinator) &&
			len(c.state.Coordinators) < firstCoordinators
		if node.First {
			c.state.Coordinators = append(c.state.Coordinators, config.Coordinator{
				ID: node.ID, Name: node.Name, API: node.Listen.API, Raft: node.Listen.Raft})
		}
		c.state.Nodes = append(c.state.Nodes, node)
	}
	if len(c.state.Coordinators) == 0 {
		return errors.New("local cluster: no node has the role coordinator: give it to one or three")
	}
	for _, node := range c.state.Nodes {
		if err := c.install(node); err != nil {
			return err
		}
		if !node.First {
			continue
		}
		if err := enroll.SaveAuthority(c.path(node.Name, "data"), ca, identity.DefaultLifetime); err != nil {
			return err
		}
	}
	return c.state.save(c.options.Dir)
}

// Add makes the files of one more node. Start it with Start or Up; it joins by registering.
func (c *Cluster) Add(spec NodeSpec) error {
	if c.state.find(spec.Name) >= 0 {
		return fmt.Errorf("node %s is in the local cluster already: "+
			"to put a fresh machine in its place, kill it and add it with --fresh", spec.Name)
	}
	node, err := c.plan(spec)
	if err != nil {
		return err
	}
	if err := c.install(node); err != nil {
		return err
	}
	c.state.Nodes = append(c.state.Nodes, node)
	return c.state.save(c.options.Dir)
}

// Reinstall puts a fresh machine in the place of a node whose processes are gone: same name and
// addresses, but a new identity, empty stores and no memory. It takes part once the cluster was told
// to replace the old node by it.
func (c *Cluster) Reinstall(name string) error {
	node, err := c.down(name)
	if err != nil {
		return err
	}
	for _, dir := range []string{c.path(name), node.RunDir, c.memoryDir(name)} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("node %s: remove the old machine: %w", name, err)
		}
	}
	node.ID, node.First, node.Joined = volume.NewNodeID(), false, false
	if err := c.install(node); err != nil {
		return err
	}
	c.state.Nodes[c.state.find(name)] = node
	return c.state.save(c.options.Dir)
}

// Wipe empties the stores of a node whose processes are gone, as a disk that was exchanged.
func (c *Cluster) Wipe(name string) error {
	if _, err := c.down(name); err != nil {
		return err
	}
	for _, dir := range []string{c.path(name, "store"), c.memoryDir(name)} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("node %s: wipe its store: %w", name, err)
		}
	}
	if err := os.Mkdir(c.path(name, "store"), 0o700); err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	return nil
}

// plan chooses a node's identity, addresses and run directory.
func (c *Cluster) plan(spec NodeSpec) (Node, error) {
	if err := volume.CheckName("node", spec.Name); err != nil {
		return Node{}, err
	}
	if spec.Name == "ca" || spec.Name == switchName {
		return Node{}, fmt.Errorf("node name %q: the cluster has a file of that name: choose another", spec.Name)
	}
	index := len(c.state.Nodes)
	if index >= nodesMax {
		return Node{}, fmt.Errorf("a local cluster has at most %d nodes", nodesMax)
	}
	run, base, err := runDir(c.options.Dir, spec.Name, index)
	if err != nil {
		return Node{}, err
	}
	if base != "" {
		c.state.RunBase = base
	}
	listen, err := c.listen(index, spec.Roles)
	if err != nil {
		return Node{}, err
	}
	return Node{Name: spec.Name, ID: volume.NewNodeID(), Roles: spec.Roles, Listen: listen, RunDir: run}, nil
}

// addresses are those of all nodes of the cluster, also of those that do not run now, in the order in which they came.
func (c *Cluster) addresses() []string {
	var all []string
	for _, n := range c.state.Nodes {
		for _, address := range []string{n.Listen.API, n.Listen.Raft, n.Listen.ISCSI} {
			if address != "" {
				all = append(all, address)
			}
		}
	}
	return all
}

// install writes a node's files. What an attempt that failed left behind is replaced: the node is
// not in cluster.json, so nothing of it has ever run.
func (c *Cluster) install(n Node) error {
	if err := os.RemoveAll(c.path(n.Name)); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	for _, dir := range []string{c.path(n.Name, "data"), c.path(n.Name, "store")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	cfg := c.configOf(n)
	ca, err := identity.LoadCA(c.state.ID, c.path("ca", "ca.pem"), c.path("ca", "ca.key"))
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(n.Listen.API)
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	who := identity.NodeOptions{Name: n.Name, ID: n.ID, Hosts: []string{host}, Now: time.Now()}
	if err := ca.Issue(who, cfg.TLS); err != nil {
		return err
	}
	if slices.Contains(n.Roles, raft.RoleCoordinator) {
		group := volume.ClusterID{} // of whoever adds it
		if n.First {
			group = c.state.Incarnation
		}
		if err := raft.Prepare(c.path(n.Name, "data", "raft"), group); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	text, err := cfg.Marshal()
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	if _, err := config.Parse(text); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	return durable.WriteFile(c.configFile(n.Name), text, 0o600)
}

func (c *Cluster) configFile(node string) string { return c.path(node, "node.yaml") }

// memoryDir returns a node's memory_dir, empty if the cluster has none.
func (c *Cluster) memoryDir(node string) string {
	if c.state.MemoryBase == "" {
		return ""
	}
	return filepath.Join(c.state.MemoryBase, node)
}

// configOf returns the content of a node's node.yaml.
func (c *Cluster) configOf(n Node) *config.Config {
	cfg := &config.Config{
		Name: n.Name, ID: n.ID, Roles: n.Roles, Listen: n.Listen,
		Cluster:   config.Cluster{Name: c.state.Name, ID: c.state.ID, Incarnation: c.state.Incarnation},
		DataDir:   c.path(n.Name, "data"),
		RunDir:    n.RunDir,
		MemoryDir: c.memoryDir(n.Name),
		Networks:  c.networks(),
		APISocket: n.APISocket(),
		TLS: identity.Files{CA: c.path(n.Name, "ca.pem"), Cert: c.path(n.Name, "node.pem"),
			Key: c.path(n.Name, "node.key")},
		Coordinators: c.state.Coordinators,
		Timing: config.Timing{Heartbeat: c.state.Heartbeat, DeadAfter: c.state.DeadAfter,
			TRead: c.state.TRead},
	}
	if slices.Contains(n.Roles, raft.RoleStorage) {
		cfg.Stores = []config.Store{{Name: "disk0", Path: c.path(n.Name, "store")}}
	}
	return cfg
}
