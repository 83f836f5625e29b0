package devcluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Node is one node of a local cluster.
type Node struct {
	Name   string        `json:"name"`
	ID     volume.NodeID `json:"id"`
	Roles  []raft.Role   `json:"roles"`
	Listen config.Listen `json:"listen"`
	// RunDir holds the node's sockets. It is also the mark by which its processes are found.
	RunDir string `json:"run_dir"`
	// First marks the coordinators that the cluster begins with.
	First bool `json:"first,omitempty"`
	// Joined says that the cluster was seen to have the node. If it has it no longer, it was removed.
	Joined bool `json:"joined,omitempty"`
}

// APISocket returns the unix socket of the node's public API.
func (n Node) APISocket() string { return filepath.Join(n.RunDir, "api.sock") }

// state is the content of cluster.json.
type state struct {
	Version      int                  `json:"version"`
	Name         string               `json:"name"`
	ID           volume.ClusterID     `json:"id"`
	Incarnation  volume.ClusterID     `json:"incarnation"`
	RunBase      string               `json:"run_base,omitempty"`    // a directory outside DIR that down removes
	MemoryBase   string               `json:"memory_base,omitempty"` // one in memory, which down removes too
	Heartbeat    time.Duration        `json:"heartbeat"`
	DeadAfter    time.Duration        `json:"dead_after"`
	TRead        time.Duration        `json:"t_read"`
	Network      Network              `json:"network,omitempty"`
	Nodes        []Node               `json:"nodes"`
	Coordinators []config.Coordinator `json:"coordinators"` // that the cluster began with
}

const stateVersion = 1

func statePath(dir string) string { return filepath.Join(dir, "cluster.json") }

// loadState reads cluster.json; fs.ErrNotExist means that there is no cluster.
func loadState(dir string) (*state, error) {
	text, err := os.ReadFile(statePath(dir))
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", statePath(dir), err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("%s has version %d, this program knows %d",
			statePath(dir), s.Version, stateVersion)
	}
	return &s, nil
}

func (s *state) save(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("local cluster: %w", err)
	}
	return durable.WriteFile(statePath(dir), append(text, '\n'), 0o600)
}

func (s *state) find(name string) int {
	return slices.IndexFunc(s.Nodes, func(n Node) bool { return n.Name == name })
}

// checkFresh refuses to make a cluster among somebody's files, since down may remove the directory.
func checkFresh(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("local cluster: %w", err)
	}
	for _, e := range entries {
		if e.Name() != lockName {
			return fmt.Errorf("directory %s is not empty and holds no cluster: name an empty or new one", dir)
		}
	}
	return nil
}
