package main

import (
	"sync"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// disks are the labels of all legs: what engines find when they log in. There is nothing behind them.
type disks struct {
	mu     sync.Mutex
	labels map[volume.LegID]*volume.Label
	boot   volume.UUID
}

func newDisks() *disks {
	return &disks{labels: map[volume.LegID]*volume.Label{}, boot: volume.NewUUID()}
}

// provision makes a leg's label.
func (d *disks) provision(o peer.LegOrder, incarnation volume.ClusterID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.labels[o.Leg] == nil {
		d.labels[o.Leg] = &volume.Label{
			Incarnation: incarnation, VolumeID: o.Volume, VolumeName: o.VolumeName, LegID: o.Leg, StoreID: o.Store,
			DataGen: o.DataGen, Layout: o.Layout, Slot: o.Slot, Durability: o.Durability, SizeBytes: o.SizeBytes,
		}
	}
}

// fence is a login: it raises the leg's epoch and returns its label.
func (d *disks) fence(leg volume.LegID, e volume.Epoch, a volume.AttachID) (volume.LegReport, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.labels[leg]
	if l == nil || l.FenceEpoch > e {
		return volume.LegReport{}, false
	}
	l.FenceEpoch, l.AttachID, l.Admit, l.Closed = e, a, false, false
	return volume.LegReport{Label: *l, BootID: d.boot, Instance: 1}, true
}

// configure is CONFIG: it returns how far the label has come.
func (d *disks) configure(leg volume.LegID, e volume.Epoch, c volume.Config) (volume.LegSeq, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.labels[leg]
	if l == nil || l.FenceEpoch != e {
		return volume.LegSeq{}, false
	}
	l.Config, l.Admit, l.Progress = c, true, l.Progress+1
	return volume.LegSeq{Leg: leg, Seq: l.Progress}, true
}
