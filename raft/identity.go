package raft

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/holdfast-storage/holdfast/volume"
)

// identityFile says whose data directory it is. With it in state "ready", the other files must be
// there: a directory that lost them is refused, not filled anew.
const identityFile = "identity.json"

// identityFormat is the version of the identity file.
const identityFormat = 1

// The states of a data directory.
const (
	stateMaking = "making" // no member has run on it
	stateReady  = "ready"
)

// identity is the content of the identity file.
type identity struct {
	Format int           `json:"format"`
	Node   volume.NodeID `json:"node"`
	State  string        `json:"state"`
}

func readIdentity(dir string) (identity, error) {
	data, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil {
		return identity{}, err
	}
	var id identity
	if err := decodeStrict(data, &id); err != nil {
		return identity{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if id.Format != identityFormat || id.Node.IsZero() || id.State != stateMaking && id.State != stateReady {
		return identity{}, fmt.Errorf("it has an unknown form (format %d, state %q)", id.Format, id.State)
	}
	return id, nil
}

// write replaces the file durably: after a crash it is the old one or the new one.
func (id identity) write(dir string) error {
	data, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("write %s: %w", identityFile, err)
	}
	temp := filepath.Join(dir, identityFile+".new")
	if err := writeSynced(temp, append(data, '\n')); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, identityFile)); err != nil {
		return err
	}
	return syncDir(dir)
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
