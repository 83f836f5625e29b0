package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// SocketPathMax is the longest path of a unix socket that every system takes, in bytes.
const SocketPathMax = 100

// longestSocket is the length of the longest path below a run directory: see host.EngineDir.
const longestSocket = len("/v/") + volume.NameMax + len("/control.sock")

// RunDirMax is the longest run directory, in bytes, under which every volume's sockets fit.
const RunDirMax = SocketPathMax - longestSocket

// faults collects what is wrong with a configuration.
type faults []error

func (f *faults) check(err error) {
	if err != nil {
		*f = append(*f, err)
	}
}

func (f *faults) refuse(wrong bool, format string, args ...any) {
	if wrong {
		*f = append(*f, fmt.Errorf(format, args...))
	}
}

// Validate returns everything that is wrong with the configuration, joined, or nil. It looks at no
// file.
func (c *Config) Validate() error {
	var f faults
	f.check(volume.CheckName("node", c.Name))
	f.refuse(c.ID.IsZero(), "id: missing: every node needs an id of its own")
	f.refuse(c.Cluster.Name == "", "cluster.name: missing")
	f.refuse(c.Cluster.ID.IsZero(), "cluster.id: missing")
	f.refuse(c.Cluster.Incarnation.IsZero(), "cluster.incarnation: missing")
	c.checkRoles(&f)
	c.checkPaths(&f)
	c.checkListen(&f)
	c.checkStores(&f)
	if err := c.Location.Check(); err != nil {
		f.check(fmt.Errorf("location: %w", err))
	}
	c.checkCoordinators(&f)
	c.Timing.check(&f)
	return errors.Join(f...)
}

func (c *Config) checkRoles(f *faults) {
	f.refuse(len(c.Roles) == 0, "roles: missing: want some of coordinator, storage, host")
	for i, r := range c.Roles {
		known := r == raft.RoleCoordinator || r == raft.RoleStorage || r == raft.RoleHost
		f.refuse(!known, "roles: %q is unknown (coordinator, storage, host)", r)
		f.refuse(slices.Contains(c.Roles[:i], r), "roles: %s stands there twice", r)
	}
}

func (c *Config) checkPaths(f *faults) {
	for _, p := range []struct{ field, path string }{
		{"data_dir", c.DataDir}, {"run_dir", c.RunDir}, {"api_socket", c.APISocket},
		{"tls.ca", c.TLS.CA}, {"tls.cert", c.TLS.Cert}, {"tls.key", c.TLS.Key},
		{"boot_id_file", c.BootIDFile},
	} {
		checkPath(f, p.field, p.path)
	}
	if c.MemoryDir != "" {
		checkPath(f, "memory_dir", c.MemoryDir)
	}
	f.refuse(len(c.RunDir) > RunDirMax, "run_dir: %s has %d bytes, at most %d: "+
		"the sockets of volumes with long names would not fit", c.RunDir, len(c.RunDir), RunDirMax)
	f.refuse(len(c.APISocket) > SocketPathMax, "api_socket: %s has %d bytes, at most %d",
		c.APISocket, len(c.APISocket), SocketPathMax)
}

func checkPath(f *faults, field, path string) {
	switch {
	case path == "":
		f.refuse(true, "%s: missing", field)
	case !filepath.IsAbs(path):
		f.refuse(true, "%s: %q is not an absolute path", field, path)
	}
}

func (c *Config) checkListen(f *faults) {
	checkAddress(f, "listen.api", c.Listen.API)
	if c.Has(raft.RoleCoordinator) {
		checkAddress(f, "listen.raft", c.Listen.Raft)
	}
	if c.Has(raft.RoleStorage) {
		checkAddress(f, "listen.iscsi", c.Listen.ISCSI)
	}
	c.checkStorageNetwork(f)
}

// checkStorageNetwork wants a portal on the storage network, since whoever reads along there reads the
// disks of guests. On loopback nobody does.
func (c *Config) checkStorageNetwork(f *faults) {
	network, err := netip.ParsePrefix(c.Networks.Storage)
	if c.Networks.Storage != "" && err != nil {
		f.refuse(true, "networks.storage: %q is no network: want one as in 10.0.1.0/24", c.Networks.Storage)
		return
	}
	portal, errPortal := netip.ParseAddrPort(c.Listen.ISCSI)
	switch {
	case c.Listen.ISCSI == "" || errPortal == nil && portal.Addr().IsLoopback():
	case errPortal != nil:
		host, _, err := net.SplitHostPort(c.Listen.ISCSI)
		f.refuse(err == nil && host != "" && host != "localhost",
			"listen.iscsi: %q: name the portal by its IP address on the storage network", c.Listen.ISCSI)
	case c.Networks.Storage == "":
		f.refuse(true, "networks.storage: missing: iSCSI data is not encrypted, so the portal %s has to be on a "+
			"network that is for storage: name it, as in networks: {storage: 10.0.1.0/24}", c.Listen.ISCSI)
	default:
		f.refuse(!network.Contains(portal.Addr().Unmap()),
			"listen.iscsi: %s is not on the storage network %s of networks.storage", c.Listen.ISCSI, network)
	}
}

// checkAddress wants an address that means the same on every node.
func checkAddress(f *faults, field, address string) {
	if address == "" {
		f.refuse(true, "%s: missing: want host:port", field)
		return
	}
	host, port, err := net.SplitHostPort(address)
	number, errPort := strconv.ParseUint(port, 10, 16)
	if err != nil || errPort != nil || number == 0 {
		f.refuse(true, "%s: %q is no host:port", field, address)
		return
	}
	ip := net.ParseIP(host)
	f.refuse(host == "" || ip != nil && ip.IsUnspecified(),
		"%s: %q: other nodes connect to this very address: name one of this node's own", field, address)
}

func (c *Config) checkStores(f *faults) {
	f.refuse(c.Has(raft.RoleStorage) && len(c.Stores) == 0,
		"stores: missing: a storage node needs at least one")
	f.refuse(!c.Has(raft.RoleStorage) && len(c.Stores) > 0, "stores: this node has not the role storage")
	names, paths := map[string]bool{}, map[string]bool{}
	for i, s := range c.Stores {
		f.check(volume.CheckName("store", s.Name))
		checkPath(f, fmt.Sprintf("stores[%d].path", i), s.Path)
		f.refuse(names[s.Name], "stores: the name %s stands there twice", s.Name)
		path := filepath.Clean(s.Path)
		f.refuse(paths[path], "stores: the path %s stands there twice", s.Path)
		for other := range paths {
			f.refuse(nested(path, other) || nested(other, path), "stores: %s and %s lie in each other",
				path, other)
		}
		names[s.Name], paths[path] = true, true
	}
}

func nested(inner, outer string) bool { return strings.HasPrefix(inner, outer+"/") }

func (c *Config) checkCoordinators(f *faults) {
	f.refuse(len(c.Coordinators) == 0, "coordinators: missing: name those that the cluster began with")
	ids := map[volume.NodeID]bool{}
	for i, co := range c.Coordinators {
		field := fmt.Sprintf("coordinators[%d]", i)
		f.refuse(co.ID.IsZero(), "%s.id: missing", field)
		f.refuse(ids[co.ID], "%s.id: %s stands there twice", field, co.ID)
		ids[co.ID] = true
		f.check(volume.CheckName("node", co.Name))
		checkAddress(f, field+".api", co.API)
		checkAddress(f, field+".raft", co.Raft)
		if co.ID == c.ID {
			f.refuse(co.API != c.Listen.API || co.Raft != c.Listen.Raft,
				"%s: its addresses differ from this node's own listen.api and listen.raft", field)
		}
	}
}

func (t Timing) check(f *faults) {
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"heartbeat", t.Heartbeat}, {"dead_after", t.DeadAfter}, {"t_read", t.TRead}} {
		f.refuse(d.value < 50*time.Millisecond || d.value > time.Hour,
			"timing.%s: %s is out of bounds (50ms to 1h)", d.field, d.value)
	}
	f.refuse(t.TRead < TReadMin,
		"timing.t_read: %s is below %s: engines ask the legs twice in that time, and would not start", t.TRead,
		TReadMin)
	f.refuse(t.DeadAfter < 3*t.Heartbeat,
		"timing.dead_after: %s is below three heartbeats of %s: one lost packet would move guests",
		t.DeadAfter, t.Heartbeat)
}
