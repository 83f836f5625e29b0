package devcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// RunState is what a node's processes do.
type RunState string

// The states of a node's processes.
const (
	RunDown     RunState = "down"     // no process
	RunDetached RunState = "detached" // engines or guests, but no daemon
	RunPaused   RunState = "paused"   // all stopped
	RunUp       RunState = "up"       // the daemon runs
)

// NodeStatus is one node as the machine sees it; what the cluster thinks of it stands in the API.
type NodeStatus struct {
	Name      string        `json:"name"`
	ID        volume.NodeID `json:"id"`
	State     RunState      `json:"state"`
	PID       int           `json:"pid"`       // of its daemon, 0 if it does not run
	Processes []int         `json:"processes"` // of all of its processes
	API       string        `json:"api"`
	Log       string        `json:"log"`
}

// Status looks at the processes of every node.
func (c *Cluster) Status() ([]NodeStatus, error) {
	all := make([]NodeStatus, 0, len(c.state.Nodes))
	for _, n := range c.state.Nodes {
		ids, err := n.crowd().processes()
		if err != nil {
			return nil, err
		}
		s := NodeStatus{Name: n.Name, ID: n.ID, API: n.Listen.API, Log: c.LogFile(n.Name), Processes: []int{}}
		for _, id := range ids {
			s.Processes = append(s.Processes, id.PID)
		}
		slices.Sort(s.Processes)
		daemon, err := c.daemon(n)
		if err != nil && !errors.Is(err, proc.ErrGone) {
			return nil, err
		}
		s.PID = daemon.PID
		switch {
		case len(ids) == 0:
			s.State = RunDown
		case !slices.ContainsFunc(ids, func(id proc.ID) bool { return !id.Stopped() }):
			s.State = RunPaused
		case s.PID == 0:
			s.State = RunDetached
		default:
			s.State = RunUp
		}
		all = append(all, s)
	}
	return all, nil
}

// healthPause is how often await asks.
const healthPause = 50 * time.Millisecond

// awaitHealthy returns when a coordinator leads and the cluster sees every one of these nodes.
func (c *Cluster) awaitHealthy(ctx context.Context, nodes []Node) error {
	return c.await(ctx, nodes, func(ctx context.Context, client *api.Client) (string, error) {
		return c.missing(ctx, client, nodes)
	})
}

// await returns when the cluster lacks nothing: missing says what it lacks, empty when nothing. It ends
// early, with the end of the log, when the daemon of one of these nodes has ended.
func (c *Cluster) await(ctx context.Context, nodes []Node,
	missing func(context.Context, *api.Client) (string, error)) error {
	client, err := api.NewClient(api.ClientOptions{Endpoints: c.API(), Patience: -1})
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		lacks, err := missing(ctx, client)
		if err == nil && lacks == "" {
			return nil
		}
		for _, n := range nodes {
			if _, gone := c.daemon(n); errors.Is(gone, proc.ErrGone) {
				return fmt.Errorf("node %s: its daemon ended: %s", n.Name, c.logTail(n.Name))
			}
		}
		select {
		case <-ctx.Done():
			return notHealthy(ctx, lacks, err)
		case <-time.After(healthPause):
		}
	}
}

// missing says what the cluster still lacks, empty when nothing.
func (c *Cluster) missing(ctx context.Context, client *api.Client, nodes []Node) (string, error) {
	seen, err := client.Nodes(ctx)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(seen, func(n api.Node) bool { return n.Leader }) {
		return "a leader", nil
	}
	if err := c.noteMembers(seen); err != nil {
		return "", err
	}
	for _, n := range nodes {
		if c.left[n.ID] {
			continue
		}
		i := slices.IndexFunc(seen, func(s api.Node) bool { return s.ID == n.ID.String() })
		if i < 0 || seen[i].State == api.NodeDown {
			return "node " + n.Name, nil
		}
		// A heartbeat of the daemon that ran before is no sign of this one.
		if daemon, err := c.daemon(n); err != nil || seen[i].PID != daemon.PID {
			return "node " + n.Name, nil
		}
	}
	return "", nil
}

// behindVersion says that the cluster version is to be raised yet: the coordinators of a new cluster begin at
// the first, and agree on that of this release, which they all run, once they have heard each other.
func behindVersion(ctx context.Context, client *api.Client) (string, error) {
	cluster, err := client.Cluster(ctx)
	if err != nil || cluster.Version >= raft.VersionLatest {
		return "", err
	}
	return fmt.Sprintf("the cluster version to be raised to %d, it is %d", raft.VersionLatest, cluster.Version), nil
}

// noteMembers remembers which nodes the cluster has, and finds those that it has no more.
func (c *Cluster) noteMembers(seen []api.Node) error {
	c.left = map[volume.NodeID]bool{}
	changed := false
	for i := range c.state.Nodes {
		n := &c.state.Nodes[i]
		listed := slices.ContainsFunc(seen, func(s api.Node) bool { return s.ID == n.ID.String() })
		if n.Joined && !listed {
			c.left[n.ID] = true
		}
		changed = changed || listed && !n.Joined
		n.Joined = n.Joined || listed
	}
	if !changed {
		return nil
	}
	return c.state.save(c.options.Dir)
}

// notHealthy says what was waited for when ctx ended.
func notHealthy(ctx context.Context, missing string, err error) error {
	if missing != "" {
		err = fmt.Errorf("waiting for %s", missing)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("local cluster is not healthy in time: %w", err)
	}
	return fmt.Errorf("local cluster is not healthy: %w", errors.Join(err, context.Cause(ctx)))
}

// logTail returns the last lines of a daemon's log.
func (c *Cluster) logTail(node string) string {
	text, err := os.ReadFile(c.LogFile(node))
	if err != nil {
		return err.Error()
	}
	const lines = 5
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
