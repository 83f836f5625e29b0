package main

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/tests/bench/compare"
)

// ours is a local cluster of three nodes with one volume, attached on the third.
type ours struct {
	cluster   *devcluster.Cluster
	server    compare.Server
	anonymous float64 // MiB of the engine before any load
}

const volumeName = "bench"

// patience is how long the cluster may take to be there.
const patience = time.Minute

func raiseOurs(ctx context.Context, program, dir string) (o *ours, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := devcluster.Create(devcluster.Options{Dir: dir, Executable: program}, devcluster.DefaultNodes(3))
	if err != nil {
		return nil, err
	}
	raised := &ours{cluster: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, raised.down())
		}
	}()
	o = raised
	if err := c.Up(ctx); err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.ClientOptions{Endpoints: c.API()})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	_, err = client.CreateVolume(ctx, api.CreateVolume{Name: volumeName, SizeBytes: volumeBytes, Layout: "mirror=2"})
	if err != nil {
		return nil, err
	}
	attached, err := client.AttachVolume(ctx, volumeName, api.AttachVolume{Host: "n3"})
	if err != nil {
		return nil, err
	}
	o.server = compare.Server{Name: "holdfast", URL: attached.Exports[0].URL}
	if err := o.processes(ctx, client); err != nil {
		return nil, err
	}
	return o, nil
}

// processes finds the engine, what it has of memory before any load, and every other process of the cluster: the
// storage nodes' daemons serve the legs.
func (o *ours) processes(ctx context.Context, client *api.Client) error {
	v, err := client.Volume(ctx, volumeName)
	if err != nil {
		return err
	}
	if v.Attachment == nil || v.Attachment.EnginePID == 0 {
		return errors.New("the volume's engine is not known yet")
	}
	if o.anonymous, err = compare.MemoryMiB(v.Attachment.EnginePID, "RssAnon"); err != nil {
		return err
	}
	nodes, err := o.cluster.Status()
	if err != nil {
		return err
	}
	for _, n := range nodes {
		o.server.PIDs = append(o.server.PIDs, n.Processes...)
	}
	return nil
}

// down ends everything in order, so that whoever was asked to write a profile does.
func (o *ours) down() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs []error
	if client, err := api.NewClient(api.ClientOptions{Endpoints: o.cluster.API()}); err == nil && o.server.URL != "" {
		errs = append(errs, client.DetachVolume(ctx, volumeName, api.Wait{}))
		client.Close()
	}
	for _, n := range []string{"n1", "n2", "n3"} {
		errs = append(errs, o.cluster.Stop(ctx, n))
	}
	return errors.Join(append(errs, o.cluster.Down(true))...)
}
