package devcluster

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Options say which local cluster is meant.
type Options struct {
	Dir string // the cluster's directory; made if missing
	// Executable is the program whose `serve` is the daemon; empty is this process's own.
	Executable string
	Timing     config.Timing // for a new cluster; zero fields are the defaults
	Network    Network       // of a new cluster, empty is Loopback; another than an existing one has is refused
	Logger     *slog.Logger  // nil discards
}

// NodeSpec is a node to make.
type NodeSpec struct {
	Name  string
	Roles []raft.Role
}

// firstCoordinators is how many of a new cluster's nodes with that role become its coordinators. The
// others have no vote until one of them replaces a coordinator.
const firstCoordinators = 3

// AllRoles are the roles that a node plays unless it is told otherwise.
func AllRoles() []raft.Role {
	return []raft.Role{raft.RoleCoordinator, raft.RoleStorage, raft.RoleHost}
}

// DefaultNodes returns n nodes n1 … nN with all roles, of which the first three coordinate.
func DefaultNodes(n int) []NodeSpec {
	specs := make([]NodeSpec, n)
	for i := range specs {
		specs[i] = NodeSpec{Name: fmt.Sprintf("n%d", i+1), Roles: AllRoles()}
	}
	return specs
}

// Cluster is a local cluster. Its methods exclude each other, between processes too. Close it.
type Cluster struct {
	options Options
	state   *state
	left    map[volume.NodeID]bool // nodes that the cluster was told to forget, as seen last
	lock    *os.File
	reaped  sync.WaitGroup // daemons that this process started and will reap
}

const lockName = ".lock"

// Create makes a cluster of these nodes in a new or empty directory, without starting anything.
// Where one is already, it is opened, and nodes that it lacks are added to it.
func Create(o Options, nodes []NodeSpec) (*Cluster, error) {
	c, err := open(o)
	if errors.Is(err, fs.ErrNotExist) {
		c, err = create(o, nodes)
	}
	if err != nil {
		return nil, err
	}
	for _, spec := range nodes {
		if c.state.find(spec.Name) >= 0 {
			continue
		}
		if err := c.Add(spec); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// ErrNone says that a directory holds no cluster.
var ErrNone = errors.New("no local cluster")

// Open opens the cluster that a directory holds; ErrNone means that it holds none.
func Open(o Options) (*Cluster, error) {
	c, err := open(o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s: make one with `holdfast dev up --dir %s`", ErrNone, o.Dir, o.Dir)
	}
	return c, err
}

// Close lets other processes use the cluster. It stops nothing.
func (c *Cluster) Close() { _ = c.lock.Close() }

// Dir returns the cluster's directory, absolute.
func (c *Cluster) Dir() string { return c.options.Dir }

// Nodes returns the nodes, in the order in which they were made.
func (c *Cluster) Nodes() []Node { return slices.Clone(c.state.Nodes) }

// Node returns one node by name.
func (c *Cluster) Node(name string) (Node, error) {
	i := c.state.find(name)
	if i < 0 {
		names := make([]string, len(c.state.Nodes))
		for j, n := range c.state.Nodes {
			names[j] = n.Name
		}
		return Node{}, fmt.Errorf("node %q is not in the local cluster of %s (%s)",
			name, c.options.Dir, strings.Join(names, ", "))
	}
	return c.state.Nodes[i], nil
}

// API returns the value of HOLDFAST_API: the sockets of all nodes, without those of Left.
func (c *Cluster) API() string {
	var urls []string
	for _, n := range c.state.Nodes {
		if !c.left[n.ID] {
			urls = append(urls, "unix://"+n.APISocket())
		}
	}
	return strings.Join(urls, ",")
}

// Left returns the nodes that Up or Start found to have left the cluster for good: replaced or removed.
func (c *Cluster) Left() []string {
	var names []string
	for _, n := range c.state.Nodes {
		if c.left[n.ID] {
			names = append(names, n.Name)
		}
	}
	return names
}

// LogFile returns the file that takes the output of a node's daemon.
func (c *Cluster) LogFile(node string) string { return c.path(node, "daemon.log") }

func (c *Cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.options.Dir}, parts...)...)
}

func (o *Options) complete() error {
	dir, err := filepath.Abs(o.Dir)
	if err != nil || o.Dir == "" {
		return fmt.Errorf("local cluster: %q is no directory", o.Dir)
	}
	o.Dir = dir
	if o.Executable == "" {
		// The running program itself, even if its file was removed, as `go run` does.
		o.Executable = "/proc/self/exe"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// open locks and reads a cluster; fs.ErrNotExist means that there is none.
func open(o Options) (*Cluster, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(statePath(o.Dir)); err != nil {
		return nil, err
	}
	c, err := locked(o)
	if err != nil {
		return nil, err
	}
	if c.state, err = loadState(o.Dir); err != nil {
		c.Close()
		return nil, err
	}
	if o.Network != "" && o.Network != c.Network() {
		c.Close()
		return nil, fmt.Errorf("the local cluster of %s has the network %s, which was chosen when it was made: "+
			"for %s use another --dir", c.Dir(), c.Network(), o.Network)
	}
	return c, nil
}

// locked takes the cluster's lock, which the kernel drops with the process. It waits a moment for
// another command to end.
func locked(o Options) (*Cluster, error) {
	f, err := os.OpenFile(filepath.Join(o.Dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("local cluster: %w", err)
	}
	const patience, pause = 10 * time.Second, 50 * time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return &Cluster{options: o, lock: f}, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			_ = f.Close()
			return nil, fmt.Errorf("local cluster %s is in use by another command: %w", o.Dir, err)
		}
	}
}
