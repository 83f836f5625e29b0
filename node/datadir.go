package node

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// dataDir is a node's data directory, held by this process alone until Close.
type dataDir struct {
	path  string
	lock  *os.File
	fresh bool // it was made by this very opening
}

// openDataDir makes the directory if it is missing, takes hold of it and makes sure that it belongs
// to this node: another node's raft log or key must never be taken for one's own.
func openDataDir(path string, node volume.NodeID) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("data_dir %s is in use: another daemon runs on it; stop that one first", path)
	} else if err != nil {
		err = fmt.Errorf("data_dir %s: lock: %w", path, err)
	}
	d := &dataDir{path: path, lock: lock}
	if err == nil {
		err = d.checkFormat()
	}
	if err == nil {
		err = d.claim(node)
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return d, nil
}

// dataFormat is the version of the files of a data directory that have none of their own: node, chap.json,
// peers.json and what the host role keeps. It stands in the file format; a directory without it is of the
// first release.
const dataFormat = 1

// checkFormat refuses a directory that a newer release wrote, and notes the format in any other.
func (d *dataDir) checkFormat() error {
	path := d.file("format")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return durable.CreateFile(path, []byte(strconv.Itoa(dataFormat)+"\n"), 0o600)
	}
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	format, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil:
		return fmt.Errorf("data_dir: %s is damaged: %q is no number; restore it from a backup", path, text)
	case format > dataFormat:
		return fmt.Errorf("data_dir %s has format %d, this release knows %d: it was written by a newer one, "+
			"start that", d.path, format, dataFormat)
	}
	return nil
}

// claim notes the node in a new directory and refuses another node's.
func (d *dataDir) claim(node volume.NodeID) error {
	path := d.file("node")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		d.fresh = true
		return durable.CreateFile(path, []byte(node.String()+"\n"), 0o600)
	}
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	if owner := strings.TrimSpace(string(text)); owner != node.String() {
		return fmt.Errorf("data_dir %s belongs to node %s, this is node %s: "+
			"give every node a data_dir of its own, or restore the id in its configuration",
			d.path, owner, node)
	}
	return nil
}

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// Close lets another daemon use the directory.
func (d *dataDir) Close() error { return d.lock.Close() }

// chapKey is the content of chap.json.
type chapKey struct {
	Key volume.NodeKey `json:"key"`
	Gen uint32         `json:"gen"` // grows with every key of the node
}

// chapKey returns the key from which the CHAP secrets of the node's legs are derived. It is made
// once and kept in a file that only the daemon's user reads.
func (d *dataDir) chapKey() (chapKey, error) {
	path := d.file("chap.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		k := chapKey{Gen: 1}
		_, _ = rand.Read(k.Key[:]) // crypto/rand.Read never returns an error
		if text, err = json.Marshal(k); err != nil {
			return k, fmt.Errorf("CHAP key: %w", err)
		}
		return k, durable.CreateFile(path, text, 0o600)
	}
	if err != nil {
		return chapKey{}, fmt.Errorf("CHAP key: %w", err)
	}
	var k chapKey
	if json.Unmarshal(text, &k) != nil || k.Key == (volume.NodeKey{}) || k.Gen == 0 {
		// The message does not quote the file: it is a secret.
		return chapKey{}, fmt.Errorf("CHAP key: %s is damaged: "+
			"restore it from a backup, or replace the node", path)
	}
	return k, nil
}

// peers returns the coordinators that the node heard of last and those of its configuration: the
// cluster may have moved to others since that was written.
func (d *dataDir) peers(configured []peer.Peer) ([]peer.Peer, error) {
	text, err := os.ReadFile(d.file("peers.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return configured, nil
	}
	var heard []peer.Peer
	if err == nil {
		err = json.Unmarshal(text, &heard)
	}
	if err != nil {
		return nil, fmt.Errorf("known coordinators: %w: remove %s to begin with those of the configuration",
			err, d.file("peers.json"))
	}
	return mergePeers(heard, configured), nil
}

func (d *dataDir) savePeers(peers []peer.Peer) error {
	text, err := json.Marshal(peers)
	if err != nil {
		return fmt.Errorf("known coordinators: %w", err)
	}
	return durable.WriteFile(d.file("peers.json"), text, 0o600)
}

// joinedFile names the incarnation in which the node's coordinator was made anew last. It lies outside of the
// coordinator's data, so that it is there still when those are lost.
const joinedFile = "rejoined"

// joined returns the incarnation in which the node's coordinator was made anew last, zero if it never was.
func (d *dataDir) joined() (volume.ClusterID, error) {
	text, err := os.ReadFile(d.file(joinedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return volume.ClusterID{}, nil
	}
	if err != nil {
		return volume.ClusterID{}, fmt.Errorf("data_dir: %w", err)
	}
	id, err := volume.ParseUUID(strings.TrimSpace(string(text)))
	if err != nil {
		return volume.ClusterID{}, fmt.Errorf("data_dir: %s: %w", d.file(joinedFile), err)
	}
	return volume.ClusterID{UUID: id}, nil
}

func (d *dataDir) noteJoined(incarnation volume.ClusterID) error {
	return durable.WriteFile(d.file(joinedFile), []byte(incarnation.String()+"\n"), 0o600)
}

// sync makes changes of names in the directory durable.
func (d *dataDir) sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}
