package raft

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	hraft "github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/holdfast-storage/holdfast/volume"
)

// The files of a coordinator's data directory.
const (
	boltFile     = "raft.db"   // log, term and vote
	snapshotsDir = "snapshots" // of hraft.FileSnapshotStore
)

// snapshotsKept is how many snapshots stay.
const snapshotsKept = 2

// lockTimeout bounds the wait for the lock on raft.db: a daemon that was just killed lets go of it
// at once, anything longer is a second daemon.
const lockTimeout = 2 * time.Second

// store is the data directory of a coordinator.
//
// A member that lost its log or vote and goes on under the same id could help to elect a leader that
// misses committed entries. So a directory that was once in use is used whole or not at all
// (protocol §5, rows 50 and 51): everything in it is read and checked before raft starts.
type store struct {
	dir   string
	group *Group // nil for a directory of which nobody said that it is new
	id    identity
	born  int // see readBorn
	logs  *raftboltdb.BoltStore
	snaps *snapshots
}

// openStore opens a data directory, or makes one if there is none. group is the caller's, nil if it has none.
func openStore(dir string, group *Group, id volume.NodeID, logger hcLogger) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open coordinator data: %w", err)
	}
	group, err := groupOf(dir, group)
	if err != nil {
		return nil, err
	}
	st := &store{dir: dir, group: group}
	if err := st.identify(id); err != nil {
		return nil, err
	}
	if st.snaps, err = openSnapshots(dir, logger); err != nil {
		return nil, fmt.Errorf("open coordinator data: %s: %w", filepath.Join(dir, snapshotsDir), err)
	}
	if st.id.State == stateReady {
		if err := st.verify(); err != nil {
			return nil, err
		}
	}
	if st.logs, err = openBolt(st.path(), false); err != nil {
		return nil, err
	}
	return st, nil
}

func (st *store) path() string { return filepath.Join(st.dir, boltFile) }

// identify reads the identity of the directory, or gives it one if it is new.
func (st *store) identify(id volume.NodeID) error {
	have, err := readIdentity(st.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, name := range []string{boltFile, snapshotsDir} {
			if _, err := os.Lstat(filepath.Join(st.dir, name)); !errors.Is(err, fs.ErrNotExist) {
				return damaged(filepath.Join(st.dir, identityFile), fmt.Errorf("it is missing, yet %s is there", name))
			}
		}
		if err := st.group.checkFresh(); err != nil {
			return err
		}
		st.born = VersionLatest
		if err := writeBorn(st.dir, st.born); err != nil {
			return err
		}
		st.id = identity{Format: identityFormat, Node: id, State: stateMaking}
		return st.id.write(st.dir)
	case err != nil:
		return damaged(filepath.Join(st.dir, identityFile), err)
	case have.Node != id:
		return fmt.Errorf("coordinator data in %s belong to node %s, this is node %s: "+
			"start the node that they belong to, or give this one a directory of its own", st.dir, have.Node, id)
	case have.State == stateMaking: // no member ever ran on it: nothing can be lost
		if err := errors.Join(remove(st.path()), remove(filepath.Join(st.dir, snapshotsDir))); err != nil {
			return fmt.Errorf("open coordinator data: %w", err)
		}
	}
	st.id = have
	st.born, err = readBorn(st.dir)
	return err
}

func remove(path string) error { return os.RemoveAll(path) }

// bootstrap makes the first configuration in a new directory, if there is one to make, and marks the
// directory as in use.
func (st *store) bootstrap(config *hraft.Config, trans hraft.Transport, members []Member) error {
	if st.id.State == stateReady {
		return st.group.used()
	}
	if len(members) > 0 {
		var servers hraft.Configuration
		for _, m := range members {
			servers.Servers = append(servers.Servers, hraft.Server{
				ID: hraft.ServerID(m.ID.String()), Address: hraft.ServerAddress(m.Addr),
			})
		}
		if !slices.ContainsFunc(members, func(m Member) bool { return m.ID == st.id.Node }) {
			return fmt.Errorf("bootstrap coordinators: this node, %s, is not among them", st.id.Node)
		}
		if err := hraft.BootstrapCluster(config, st.logs, st.logs, st.snaps, trans, servers); err != nil {
			return fmt.Errorf("bootstrap coordinators: %w", err)
		}
	}
	st.id.State = stateReady
	if err := st.id.write(st.dir); err != nil {
		return err
	}
	return st.group.used()
}

func (st *store) close() error {
	if err := st.logs.Close(); err != nil {
		return fmt.Errorf("close %s: %w", st.path(), err)
	}
	return nil
}

// openBolt opens raft.db. Bolt panics or faults on some damage: both become errors, and the file,
// with its lock, is closed.
func openBolt(path string, readOnly bool) (logs *raftboltdb.BoltStore, err error) {
	var opened *os.File
	options := &bbolt.Options{Timeout: lockTimeout, ReadOnly: readOnly}
	options.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		opened = f
		return f, err
	}
	err = guarded(func() error {
		var err error
		logs, err = raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: options})
		return err
	})
	switch {
	case err == nil:
		return logs, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open %s: another process uses it: is the node running already?", path)
	}
	if opened != nil {
		_ = opened.Close() // it may be closed already
	}
	return nil, damaged(path, err)
}

// guarded runs f, which reads memory that a damaged file is mapped to, and turns its panics and
// faults into errors.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return f()
}

// damaged says what to do about a data directory that cannot be used.
func damaged(path string, err error) error {
	if errors.Is(err, ErrNewer) {
		return fmt.Errorf("coordinator data: %s: %w; the data are whole, and this member does not start on them "+
			"with this release: put the newer one back", path, err)
	}
	return fmt.Errorf("coordinator data: %s: %w; this member does not start on it. The other coordinators hold "+
		"the same data: move the directory away, remove this node from the cluster and add it as a new one; "+
		"or put the directory back as it was", path, err)
}
