package main

import (
	"context"
	"errors"

	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/tests/bench/compare"
	"github.com/holdfast-storage/holdfast/tests/bench/lab"
)

// ours is a local cluster of three nodes with one volume, attached on the third.
type ours struct {
	cluster   *lab.Cluster
	server    compare.Server
	anonymous float64 // MiB of the engine before any load
}

const volumeName = "bench"

func raiseOurs(ctx context.Context, program, dir string) (o *ours, err error) {
	c, err := lab.Raise(ctx, program, dir, devcluster.DefaultNodes(3))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.TakeDown())
		}
	}()
	disk, err := c.Attach(ctx, volumeName, volumeBytes, "n3")
	if err != nil {
		return nil, err
	}
	raised := &ours{cluster: c, server: compare.Server{Name: "holdfast", URL: disk.URL}}
	if raised.anonymous, err = lab.MemoryMiB(disk.Engine, "RssAnon"); err != nil {
		return nil, err
	}
	return raised, raised.processes()
}

// processes finds the engine and every other process of the cluster: the storage nodes' daemons serve the legs.
func (o *ours) processes() error {
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
func (o *ours) down() error { return o.cluster.TakeDown() }
