package lab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/raft"
)

// patience is how long anything of the cluster may take, and atOnce how many volumes are detached at a time.
const (
	patience = time.Minute
	atOnce   = 8
)

// Cluster is a local cluster that is measured. Its processes write profiles where HOLDFAST_PROFILE_DIR asks for it.
type Cluster struct {
	*devcluster.Cluster
	Client *api.Client
}

// Apart returns nodes that have one role each, so that each role's cost can be told: coordinator c1, host h1,
// storage nodes s1 and s2.
func Apart() []devcluster.NodeSpec {
	return []devcluster.NodeSpec{
		{Name: "c1", Roles: []raft.Role{raft.RoleCoordinator}}, {Name: "h1", Roles: []raft.Role{raft.RoleHost}},
		{Name: "s1", Roles: []raft.Role{raft.RoleStorage}}, {Name: "s2", Roles: []raft.Role{raft.RoleStorage}},
	}
}

// Raise makes and starts a cluster in an empty or missing directory. Take it down in the end.
func Raise(ctx context.Context, program, dir string, nodes []devcluster.NodeSpec) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := devcluster.Create(devcluster.Options{Dir: dir, Executable: program}, nodes)
	if err != nil {
		return nil, err
	}
	if err := c.Up(ctx); err != nil {
		return nil, errors.Join(err, c.Down(true))
	}
	client, err := api.NewClient(api.ClientOptions{Endpoints: c.API()})
	if err != nil {
		return nil, errors.Join(err, c.Down(true))
	}
	return &Cluster{Cluster: c, Client: client}, nil
}

// Disk is an attached volume.
type Disk struct {
	Name   string
	URL    string // of its NBD export
	Engine int    // pid
}

// Attach makes a mirror of two and attaches it to a host. Its legs are on these nodes, or wherever none are named.
func (c *Cluster) Attach(ctx context.Context, name string, sizeBytes int64, host string, legs ...string) (Disk, error) {
	return c.AttachLayout(ctx, name, "mirror=2", sizeBytes, host, legs...)
}

// AttachLayout does the same with another layout.
func (c *Cluster) AttachLayout(ctx context.Context, name, layout string, sizeBytes int64, host string,
	legs ...string) (Disk, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := c.Client.CreateVolume(ctx, api.CreateVolume{Name: name, SizeBytes: sizeBytes, Layout: layout,
		LegsOn: legs})
	if err != nil {
		return Disk{}, err
	}
	attached, err := c.Client.AttachVolume(ctx, name, api.AttachVolume{Host: host})
	if err != nil {
		return Disk{}, err
	}
	v, err := c.Client.Volume(ctx, name)
	if err != nil {
		return Disk{}, err
	}
	if v.Attachment == nil || v.Attachment.EnginePID == 0 || len(attached.Exports) == 0 {
		return Disk{}, fmt.Errorf("volume %s: its engine or its export is not known", name)
	}
	return Disk{Name: name, URL: attached.Exports[0].URL, Engine: v.Attachment.EnginePID}, nil
}

// Remove detaches a volume and deletes it.
func (c *Cluster) Remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.Client.DetachVolume(ctx, name, api.Wait{}); err != nil {
		return err
	}
	return c.Client.DeleteVolume(ctx, name, api.Wait{})
}

// Daemons returns the pid of each node's daemon, by the node's name.
func (c *Cluster) Daemons() (map[string]int, error) {
	nodes, err := c.Status()
	if err != nil {
		return nil, err
	}
	pids := map[string]int{}
	for _, n := range nodes {
		if n.PID == 0 {
			return nil, fmt.Errorf("node %s: its daemon has ended (see %s)", n.Name, n.Log)
		}
		pids[n.Name] = n.PID
	}
	return pids, nil
}

// TakeDown ends everything, in order as far as it goes, so that whoever was asked to write a profile does, and removes
// the cluster's files.
func (c *Cluster) TakeDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	errs := []error{c.detachAll(ctx)}
	c.Client.Close()
	for _, n := range c.Nodes() {
		errs = append(errs, c.Stop(ctx, n.Name))
	}
	return errors.Join(append(errs, c.Down(true))...)
}

func (c *Cluster) detachAll(ctx context.Context) error {
	all, err := c.Client.Volumes(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, v := range all {
		if v.Attachment != nil {
			names = append(names, v.Name)
		}
	}
	return AtOnce(len(names), func(i int) error { return c.Client.DetachVolume(ctx, names[i], api.Wait{}) })
}

// AtOnce calls do for all below n, several at a time, and joins what went wrong.
func AtOnce(n int, do func(int) error) error {
	errs := make([]error, n)
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			errs[i] = do(i)
			<-slots
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Wait waits.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
