package raft

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	hraft "github.com/hashicorp/raft"
)

// snapshots are hraft's snapshots in files that only their owner reads: they hold every secret of the cluster,
// and hraft makes files that everybody may read.
type snapshots struct {
	*hraft.FileSnapshotStore
	dir string // with the snapshots in it
}

// openSnapshots opens the snapshots below a coordinator's data directory, and closes to others what an earlier
// version left open.
func openSnapshots(dir string, logger hcLogger) (*snapshots, error) {
	files, err := hraft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, logger)
	if err != nil {
		return nil, err
	}
	s := &snapshots{FileSnapshotStore: files, dir: filepath.Join(dir, snapshotsDir)}
	made, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, m := range made {
		if !m.IsDir() {
			continue // no snapshot
		}
		if err := closeToOthers(filepath.Join(s.dir, m.Name())); err != nil {
			return nil, err
		}
	}
	return s, os.Chmod(s.dir, 0o700)
}

// Create begins a snapshot, and closes its files to others while they are empty. It implements
// hraft.SnapshotStore.
func (s *snapshots) Create(version hraft.SnapshotVersion, index, term uint64, members hraft.Configuration,
	membersIndex uint64, trans hraft.Transport) (hraft.SnapshotSink, error) {
	sink, err := s.FileSnapshotStore.Create(version, index, term, members, membersIndex, trans)
	if err != nil {
		return nil, err
	}
	const unfinished = ".tmp" // the end of the name of hraft's directory until the snapshot is whole
	if err := closeToOthers(filepath.Join(s.dir, sink.ID()+unfinished)); err != nil {
		return nil, errors.Join(fmt.Errorf("close a snapshot to others: %w", err), sink.Cancel())
	}
	return sink, nil
}

// closeToOthers makes a snapshot's directory, and the files in it, readable by their owner alone.
func closeToOthers(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Type().IsRegular() {
			if err := os.Chmod(filepath.Join(dir, f.Name()), 0o600); err != nil {
				return err
			}
		}
	}
	return os.Chmod(dir, 0o700)
}
