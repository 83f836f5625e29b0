package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/host"
	"github.com/holdfast-storage/holdfast/tests/bench/compare"
	"github.com/holdfast-storage/holdfast/tests/bench/lab"
	"github.com/holdfast-storage/holdfast/volume"
)

const (
	volumeName = "rebuild"
	poll       = 20 * time.Millisecond
	patience   = 3 * time.Minute // for one rebuild, under load too
)

// bench is what is measured: a mirror of two whose second leg is lost again and again.
type bench struct {
	sizeBytes int64
	load      compare.Load
	plain     *plain
	cluster   *lab.Cluster
	disk      lab.Disk
}

// fill makes the volume, attaches it and fills it and the plain copy's source.
func (b *bench) fill(ctx context.Context, c content) (err error) {
	if b.disk, err = b.cluster.Attach(ctx, volumeName, b.sizeBytes, hostNode, keptNode, lostNode); err != nil {
		return err
	}
	if err := b.plain.fill(ctx, c); err != nil {
		return err
	}
	export, err := openNBD(ctx, b.disk.URL)
	if err != nil {
		return err
	}
	return errors.Join(c.write(ctx, export), export.Close())
}

// rebuild runs a plain copy, then loses the leg and waits until another one is in its place.
func (b *bench) rebuild(ctx context.Context) (rebuilt, error) {
	plain, err := b.plain.copy(ctx)
	if err != nil {
		return rebuilt{}, err
	}
	got, _, err := b.replaceLeg(ctx)
	got.PlainMBs = megabytes(b.sizeBytes, plain)
	return got, err
}

// replaceLeg loses the leg, as with its disk, and waits until another one is in its place.
func (b *bench) replaceLeg(ctx context.Context) (rebuilt, joined, error) {
	old, err := b.legOn(ctx, lostNode)
	if err != nil {
		return rebuilt{}, joined{}, err
	}
	if err := b.cluster.Kill(lostNode); err != nil {
		return rebuilt{}, joined{}, err
	}
	if err := os.RemoveAll(filepath.Dir(b.cluster.LegData(lostNode, old.ID))); err != nil {
		return rebuilt{}, joined{}, err
	}
	began := time.Now()
	if err := b.cluster.Start(ctx, lostNode); err != nil {
		return rebuilt{}, joined{}, err
	}
	id, j, err := b.await(ctx, began, func(l api.Leg) bool { return l.ID != old.ID })
	if err != nil {
		return rebuilt{}, j, err
	}
	var held syscall.Stat_t
	if err := syscall.Stat(b.cluster.LegData(lostNode, id), &held); err != nil {
		return rebuilt{}, j, err
	}
	return rebuilt{CopySeconds: j.copied.Sub(j.copying).Seconds(), AllSeconds: j.inSync.Sub(began).Seconds(),
		MBs: megabytes(j.bytes, j.copied.Sub(j.copying)), HeldBytes: held.Blocks * 512}, j, nil
}

// legOn returns the leg of a node, which must be in sync.
func (b *bench) legOn(ctx context.Context, node string) (api.Leg, error) {
	v, err := b.cluster.Client.Volume(ctx, b.disk.Name)
	if err != nil {
		return api.Leg{}, err
	}
	i := slices.IndexFunc(v.Legs, func(l api.Leg) bool { return l.Node == node && l.State == volume.LegInSync })
	if i < 0 {
		return api.Leg{}, fmt.Errorf("no leg on %s is in sync: %v", node, v.Legs)
	}
	return v.Legs[i], nil
}

// await waits until a leg of the lost node that is meant came in sync since a time. It returns its id, and how.
func (b *bench) await(ctx context.Context, since time.Time, meant func(api.Leg) bool) (string, joined, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	node, err := b.cluster.Node(hostNode)
	if err != nil {
		return "", joined{}, err
	}
	log := filepath.Join(host.EngineDir(node.RunDir, b.disk.Name), "engine.log")
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		leg, err := b.legOn(ctx, lostNode)
		if err == nil && meant(leg) {
			changes, failed := readJournal(log, leg.ID, since)
			if failed != nil {
				return "", joined{}, failed
			}
			var j joined
			if j, err = howJoined(changes, b.sizeBytes); err == nil {
				return leg.ID, j, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", joined{}, fmt.Errorf("no leg on %s came in sync in time: %w: %w", lostNode, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func megabytes(bytes int64, took time.Duration) float64 { return float64(bytes) / 1e6 / took.Seconds() }
