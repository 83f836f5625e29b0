package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// BootIDFile is where the kernel's boot identity is found unless a node's configuration says
// otherwise.
const BootIDFile = "/proc/sys/kernel/random/boot_id"

// Config is the content of node.yaml. Every path is absolute.
type Config struct {
	Name    string        `yaml:"name"`
	ID      volume.NodeID `yaml:"id"`
	Cluster Cluster       `yaml:"cluster"`
	Roles   []raft.Role   `yaml:"roles"`
	// DataDir holds what must survive a restart of the machine: the raft log, the node's CHAP key,
	// the attachments that were spent. It belongs to one node ID for ever.
	DataDir string `yaml:"data_dir"`
	// RunDir holds sockets, logs and records of running processes. It must be short: the sockets
	// below it may not exceed SocketPathMax bytes with the longest name of a volume.
	RunDir string `yaml:"run_dir"`
	// MemoryDir is a directory in memory (tmpfs), of this user alone: what lies there outlives a process and not the
	// boot. Empty is RunDir. On a disk, storage works as well, at two system calls more for each write. In a container
	// give it memory that outlives the container (a mount of the machine's): legs that were being written when it ended
	// count as having lost their cache where that is gone.
	MemoryDir string `yaml:"memory_dir,omitempty"`
	Listen    Listen `yaml:"listen"`
	// Networks names the networks that a portal may be on. Without it a portal is on loopback only.
	Networks Networks `yaml:"networks,omitempty"`
	// APISocket is the unix socket of the public API, for root alone.
	APISocket string         `yaml:"api_socket"`
	TLS       identity.Files `yaml:"tls"`
	Stores    []Store        `yaml:"stores,omitempty"`
	// Location says where the node stands, so that legs are spread; `holdfast node set` changes it later.
	Location     raft.Location `yaml:"location,omitempty"`
	Coordinators []Coordinator `yaml:"coordinators"`
	// BootIDFile names the file whose content changes with every restart of the operating system
	// that could lose the page cache. Empty is the kernel's own boot_id. In a container that is the
	// machine's and right; where /proc is not the kernel's, name a file that the machine's boot
	// writes anew. A file that changes too often costs resyncs, one that changes too seldom costs data.
	BootIDFile string `yaml:"boot_id_file,omitempty"`
	Timing     Timing `yaml:"timing,omitempty"`
}

// Cluster names the cluster that the node belongs to.
type Cluster struct {
	Name        string           `yaml:"name"`
	ID          volume.ClusterID `yaml:"id"`
	Incarnation volume.ClusterID `yaml:"incarnation"` // at the cluster's making; raft knows later ones
}

// Listen are the addresses that the node serves, as others reach them: host:port, no wildcard.
type Listen struct {
	API   string `yaml:"api"`             // HTTPS: public API and peers, mutual TLS
	Raft  string `yaml:"raft,omitempty"`  // coordinators only
	ISCSI string `yaml:"iscsi,omitempty"` // storage nodes only
}

// Networks are the networks of the machine that have a purpose, as CIDR.
type Networks struct {
	// Storage carries iSCSI, whose data is not encrypted: it is to be separate from all others.
	Storage string `yaml:"storage,omitempty"`
}

// Store is a directory for legs.
type Store struct {
	Name string `yaml:"name"`
	Path string `yaml:"path"`
}

// Coordinator is one voter that the cluster begins with.
type Coordinator struct {
	ID   volume.NodeID `yaml:"id"`
	Name string        `yaml:"name"`
	API  string        `yaml:"api"`
	Raft string        `yaml:"raft"`
}

// Timing replaces the defaults of protocol-flush F. Zero is the default. All nodes of a cluster
// must have the same.
type Timing struct {
	Heartbeat time.Duration `yaml:"heartbeat,omitempty"`  // between a node's signs of life
	DeadAfter time.Duration `yaml:"dead_after,omitempty"` // silence after which a host counts as dead
	TRead     time.Duration `yaml:"t_read,omitempty"`     // how old a leg's confirmation may be for a read
}

// The defaults of Timing.
const (
	DefaultHeartbeat = 500 * time.Millisecond
	DefaultDeadAfter = 2 * time.Second
	DefaultTRead     = 2 * time.Second
)

// TReadMin is the shortest Timing.TRead: twice the time between two pings of a leg, mirror.Timing.Ping.
const TReadMin = time.Second

// Load reads, completes and validates a node.yaml.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// Parse is Load of a text.
func Parse(text []byte) (*Config, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var c Config
	if err := decoder.Decode(&c); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); err == nil {
		return nil, errors.New("a second document follows: one file describes one node")
	}
	c.complete()
	return &c, c.Validate()
}

// Marshal returns the text that Parse reads.
func (c *Config) Marshal() ([]byte, error) { return yaml.Marshal(c) }

// complete fills in the defaults.
func (c *Config) complete() {
	if c.BootIDFile == "" {
		c.BootIDFile = BootIDFile
	}
	setDefault(&c.Timing.Heartbeat, DefaultHeartbeat)
	setDefault(&c.Timing.DeadAfter, DefaultDeadAfter)
	setDefault(&c.Timing.TRead, DefaultTRead)
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Has reports whether the node has a role.
func (c *Config) Has(r raft.Role) bool { return slices.Contains(c.Roles, r) }

// Peers returns the coordinators as clients need them.
func (c *Config) Peers() []peer.Peer {
	peers := make([]peer.Peer, len(c.Coordinators))
	for i, co := range c.Coordinators {
		peers[i] = peer.Peer{ID: co.ID, API: co.API}
	}
	return peers
}
