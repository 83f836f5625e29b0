package enroll

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Where a node's files are unless it is told otherwise, and the ports that it listens at.
const (
	DefaultDir     = "/etc/holdfast"
	DefaultDataDir = "/var/lib/holdfast"
	DefaultRunDir  = "/run/holdfast"
	PortAPI        = "7443"
	PortRaft       = "7444"
	PortISCSI      = "3260"
)

// ConfigFile returns the path of the configuration in a node's directory.
func ConfigFile(dir string) string { return filepath.Join(dir, "node.yaml") }

// Machine is what a machine is to be in a cluster.
type Machine struct {
	Dir      string // for certificate, key and node.yaml
	Name     string
	Roles    []raft.Role
	Address  string // of the node, for what Listen leaves open
	Listen   config.Listen
	Storage  string // CIDR of the storage network; "" on loopback
	Stores   []config.Store
	DataDir  string
	RunDir   string
	Location raft.Location
	Timing   config.Timing
}

// has reports whether the machine is to have a role.
func (m Machine) has(role raft.Role) bool { return slices.Contains(m.Roles, role) }

// complete fills in what follows from the rest.
func (m *Machine) complete() error {
	for _, dir := range []*string{&m.Dir, &m.DataDir, &m.RunDir} {
		abs, err := filepath.Abs(*dir)
		if err != nil || *dir == "" {
			return fmt.Errorf("%q is no directory", *dir)
		}
		*dir = abs
	}
	for i := range m.Stores {
		abs, err := filepath.Abs(m.Stores[i].Path)
		if err != nil {
			return fmt.Errorf("store %s: %w", m.Stores[i].Name, err)
		}
		m.Stores[i].Path = abs
	}
	for _, l := range []struct {
		address *string
		port    string
		wanted  bool
	}{
		{&m.Listen.API, PortAPI, true},
		{&m.Listen.Raft, PortRaft, m.has(raft.RoleCoordinator)},
		{&m.Listen.ISCSI, PortISCSI, m.has(raft.RoleStorage)},
	} {
		switch {
		case !l.wanted:
			*l.address = ""
		case *l.address == "" && m.Address != "":
			*l.address = net.JoinHostPort(m.Address, l.port)
		}
	}
	return nil
}

// files returns where certificate and key are.
func (m Machine) files() identity.Files {
	return identity.Files{CA: filepath.Join(m.Dir, "ca.pem"), Cert: filepath.Join(m.Dir, "node.pem"),
		Key: filepath.Join(m.Dir, "node.key")}
}

// hosts returns the addresses and names under which others reach the machine.
func (m Machine) hosts() []string {
	var hosts []string
	for _, address := range []string{m.Listen.API, m.Listen.Raft} {
		if host, _, err := net.SplitHostPort(address); err == nil && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// config returns the node.yaml of the machine in a cluster.
func (m Machine) config(id volume.NodeID, cluster config.Cluster, coordinators []config.Coordinator) *config.Config {
	return &config.Config{
		Name: m.Name, ID: id, Cluster: cluster, Roles: m.Roles, DataDir: m.DataDir, RunDir: m.RunDir,
		Listen: m.Listen, Networks: config.Networks{Storage: m.Storage},
		APISocket: filepath.Join(m.RunDir, "api.sock"), TLS: m.files(), Stores: m.Stores,
		Coordinators: coordinators, Location: m.Location, Timing: m.Timing,
	}
}

// check returns everything that is wrong with the machine, before anything is made or asked.
func (m Machine) check() error {
	id := volume.NewNodeID()
	c := m.config(id, config.Cluster{Name: "x", ID: volume.NewClusterID(), Incarnation: volume.NewClusterID()},
		[]config.Coordinator{{ID: volume.NewNodeID(), Name: "x", API: "x:1", Raft: "x:2"}})
	_, err := checked(c)
	return err
}

// checked returns the text of a configuration, if it is one.
func checked(c *config.Config) ([]byte, error) {
	text, err := c.Marshal()
	if err != nil {
		return nil, err
	}
	_, err = config.Parse(text)
	return text, err
}

// fresh refuses a data directory that a node has used: another cluster's raft log lies in it.
func (m Machine) fresh() error {
	owner, err := os.ReadFile(filepath.Join(m.DataDir, "node"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	return fmt.Errorf("data_dir %s belongs to node %s, whose configuration is not in %s: "+
		"restore it, or give this node another data_dir", m.DataDir, strings.TrimSpace(string(owner)), m.Dir)
}

// makeDirs makes the directories that a node wants to find.
func (m Machine) makeDirs() error {
	if err := os.MkdirAll(m.Dir, 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(m.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	for _, s := range m.Stores {
		if err := os.MkdirAll(s.Path, 0o700); err != nil {
			return fmt.Errorf("store %s: %w", s.Name, err)
		}
	}
	return nil
}

// install writes node.yaml, which makes the machine a node.
func install(dir string, c *config.Config) error {
	if err := prepareCoordinator(c); err != nil {
		return err
	}
	text, err := checked(c)
	if err != nil {
		return fmt.Errorf("node %s: %w", c.Name, err)
	}
	return durable.WriteFile(ConfigFile(dir), text, 0o600)
}

// The bounds of a certificate's life.
const (
	LifetimeMin = 10 * time.Second // for tests; a renewal has to fit into the last third
	LifetimeMax = 10 * 365 * 24 * time.Hour
)

// prepareCoordinator makes the data of a coordinator that never ran: without them none starts. The first one
// of a cluster has a group, any other waits for whoever adds it.
func prepareCoordinator(c *config.Config) error {
	dir := filepath.Join(c.DataDir, "raft")
	if !c.Has(raft.RoleCoordinator) {
		return nil
	}
	if _, err := raft.OpenGroup(dir); !errors.Is(err, raft.ErrNoData) {
		return err // an earlier try was interrupted
	}
	group := volume.ClusterID{}
	if slices.ContainsFunc(c.Coordinators, func(o config.Coordinator) bool { return o.ID == c.ID }) {
		group = c.Cluster.Incarnation
	}
	return raft.Prepare(dir, group)
}
