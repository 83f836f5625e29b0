package tree

import (
	"cmp"
	"path"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/volume"
)

// nodeFile is pservers/NAME/node.yaml.
type nodeFile struct {
	Location locationFile `yaml:"location"`
	Address  string       `yaml:"address"`
	Listen   listenFile   `yaml:"listen"`
	Stores   []storeFile  `yaml:"stores"`

	Roles          []string `yaml:"roles"`
	StorageNetwork string   `yaml:"storage_network"`
	ConfigDir      string   `yaml:"config_dir"`
	DataDir        string   `yaml:"data_dir"`
	RunDir         string   `yaml:"run_dir"`
}

type locationFile struct {
	Zone string `yaml:"zone"`
	Rack string `yaml:"rack"`
}

type listenFile struct {
	API   string `yaml:"api"`
	Raft  string `yaml:"raft"`
	ISCSI string `yaml:"iscsi"`
}

type storeFile struct {
	Name string `yaml:"name"`
	Path string `yaml:"path"`
}

// machineFile is what machines have that do not say otherwise. The timing is the same for all nodes of a cluster.
type machineFile struct {
	Roles          []string   `yaml:"roles"`
	StorageNetwork string     `yaml:"storage_network"`
	ConfigDir      string     `yaml:"config_dir"`
	DataDir        string     `yaml:"data_dir"`
	RunDir         string     `yaml:"run_dir"`
	Timing         timingFile `yaml:"timing"`
}

type timingFile struct {
	Heartbeat string `yaml:"heartbeat"`
	DeadAfter string `yaml:"dead_after"`
	TRead     string `yaml:"t_read"`
}

// The roles of a node.
const (
	roleCoordinator = "coordinator"
	roleStorage     = "storage"
	roleHost        = "host"
)

// server reads what a physical server is.
func (r *reader) server(name string, shared clusterFile) {
	dir := path.Join(dirServers, name)
	file := path.Join(dir, fileNode)
	r.known(dir, []string{fileNode}, dirDomUs)
	var f nodeFile
	if !r.fill(file, &f) {
		return
	}
	m := shared.Machines
	m.Roles = either(f.Roles, m.Roles)
	m.StorageNetwork = cmp.Or(f.StorageNetwork, m.StorageNetwork)
	m.ConfigDir, m.DataDir = cmp.Or(f.ConfigDir, m.ConfigDir), cmp.Or(f.DataDir, m.DataDir)
	m.RunDir = cmp.Or(f.RunDir, m.RunDir)
	machine, err := m.machine("")
	if err != nil {
		r.place(file, err)
		return
	}
	machine.Address = f.Address
	machine.ListenAPI, machine.ListenRaft, machine.ListenISCSI = f.Listen.API, f.Listen.Raft, f.Listen.ISCSI
	for _, s := range f.Stores {
		machine.Stores = append(machine.Stores, site.Store{Name: s.Name, Path: s.Path})
	}
	for _, part := range []struct{ field, what, name string }{
		{"location.zone", "zone", f.Location.Zone}, {"location.rack", "rack", f.Location.Rack},
	} {
		if part.name == "" {
			continue
		}
		if err := volume.CheckName(part.what, part.name); err != nil {
			r.place(file, guest.Faultf(part.field, "%v", err))
		}
	}
	r.site.Servers = append(r.site.Servers,
		site.Server{Name: name, Zone: f.Location.Zone, Rack: f.Location.Rack, Machine: machine})
}

func either(a, b []string) []string {
	if len(a) > 0 {
		return a
	}
	return b
}

// machine returns what the file says; prefix leads to it. Whether a node can be made of it is for the program of the
// machine to say.
func (f machineFile) machine(prefix string) (site.Machine, error) {
	m := site.Machine{Roles: f.Roles, StorageNetwork: f.StorageNetwork, ConfigDir: f.ConfigDir, DataDir: f.DataDir,
		RunDir: f.RunDir}
	for _, role := range f.Roles {
		if !slices.Contains([]string{roleCoordinator, roleStorage, roleHost}, role) {
			return m, guest.Faultf(joined(prefix, "roles"), "%q is unknown: want some of %s, %s, %s", role,
				roleCoordinator, roleStorage, roleHost)
		}
	}
	if len(m.Roles) == 0 {
		m.Roles = []string{roleCoordinator, roleStorage, roleHost}
	}
	for _, t := range []struct {
		field, text string
		into        *time.Duration
	}{
		{"heartbeat", f.Timing.Heartbeat, &m.Timing.Heartbeat},
		{"dead_after", f.Timing.DeadAfter, &m.Timing.DeadAfter},
		{"t_read", f.Timing.TRead, &m.Timing.TRead},
	} {
		if t.text == "" {
			continue
		}
		d, err := time.ParseDuration(t.text)
		if err != nil || d <= 0 {
			return m, guest.Faultf(joined(prefix, "timing."+t.field), "%q: want a time, as in 500ms", t.text)
		}
		*t.into = d
	}
	return m, nil
}

// joined puts a field behind the path that leads to it.
func joined(prefix, field string) string {
	if prefix == "" {
		return field
	}
	return prefix + "." + field
}
