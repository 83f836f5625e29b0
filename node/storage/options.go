package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/node/storage/disk"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Options configures New.
type Options struct {
	Node    volume.NodeID
	NodeKey volume.NodeKey // from which the CHAP secrets of the legs are derived
	Stores  []StoreConfig
	// RecordFile remembers which store belongs to which name, so that a disk that is not mounted, or
	// was emptied, is not taken for a new one. It is in the node's data directory.
	RecordFile string
	// BootIDFile names the identity of this boot; empty is leg.DefaultBootIDFile.
	BootIDFile string
	// MemoryDir is a directory in memory for the stores' witnesses (leg.Store.KeepWitness); empty is none.
	MemoryDir string
	// Report proposes a command of this node to raft: LegProvisioned, LegLost or LegDeleted. An error
	// means that it may not have been committed; it is tried again.
	Report func(context.Context, raft.Command) error
	// CheckEvery is the time between two checks of all legs; zero means 2 s.
	CheckEvery time.Duration
	// RetryEvery is the time after which a reconcile that met an error is tried again; zero means 1 s.
	RetryEvery time.Duration
	Logger     *slog.Logger // nil discards

	// Sysfs is where the kernel shows its devices; empty is disk.Sysfs. Smartctl is the program that reads SMART;
	// empty is smartctl, if it is installed. It is run first after SmartAfter (zero is a minute), then every
	// SmartEvery (zero is an hour).
	Sysfs, Smartctl        string
	SmartAfter, SmartEvery time.Duration

	// OpenFS opens the directory of a store; nil is leg.OSFS.
	OpenFS func(path string) leg.FS
}

// StoreConfig is one store of the node's configuration.
type StoreConfig struct {
	Name string // unique on the node
	Path string // an existing directory
}

func (o Options) withDefaults() Options {
	if o.CheckEvery == 0 {
		o.CheckEvery = 2 * time.Second
	}
	if o.RetryEvery == 0 {
		o.RetryEvery = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Sysfs = cmp.Or(o.Sysfs, disk.Sysfs)
	o.SmartAfter = cmp.Or(o.SmartAfter, time.Minute)
	o.SmartEvery = cmp.Or(o.SmartEvery, time.Hour)
	if o.OpenFS == nil {
		o.OpenFS = leg.OSFS
	}
	return o
}

// validate returns all faults, joined.
func (o Options) validate() error {
	var faults []error
	if o.Node.IsZero() {
		faults = append(faults, errors.New("no node identity"))
	}
	if o.NodeKey == (volume.NodeKey{}) {
		faults = append(faults, errors.New("no CHAP key"))
	}
	if o.RecordFile == "" || o.Report == nil {
		faults = append(faults, errors.New("no record file, or nobody to report to"))
	}
	if o.CheckEvery < 0 || o.RetryEvery < 0 {
		faults = append(faults, errors.New("a negative interval"))
	}
	names := map[string]bool{}
	for _, s := range o.Stores {
		if err := volume.CheckName("store", s.Name); err != nil {
			faults = append(faults, err)
		}
		if names[s.Name] {
			faults = append(faults, fmt.Errorf("store %q is named twice", s.Name))
		}
		names[s.Name] = true
	}
	return errors.Join(faults...)
}
