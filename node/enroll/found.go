package enroll

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Found makes a new cluster of one node, without starting it, and returns the node's configuration. The
// certificates of its nodes live so long, and are renewed by themselves. A machine that is a node already
// is left as it is.
func Found(cluster string, m Machine, lifetime time.Duration) (*config.Config, error) {
	if err := m.complete(); err != nil {
		return nil, err
	}
	if err := volume.CheckName("cluster", cluster); err != nil {
		return nil, err
	}
	if lifetime < LifetimeMin || lifetime > LifetimeMax {
		return nil, fmt.Errorf("the lifetime of certificates, %s, is out of bounds (%s to ten years)", lifetime,
			LifetimeMin)
	}
	if !m.has(raft.RoleCoordinator) {
		return nil, errors.New("the first node of a cluster decides for it: give it the role coordinator")
	}
	if err := errors.Join(m.check(), m.unconfigured(), m.fresh()); err != nil {
		return nil, err
	}
	if err := errors.Join(m.makeDirs(), m.discard()); err != nil {
		return nil, err
	}
	id, clusterID, now := volume.NewNodeID(), volume.NewClusterID(), time.Now()
	ca, err := identity.NewCA(cluster, clusterID, now)
	if err != nil {
		return nil, err
	}
	if err := ca.Issue(identity.NodeOptions{Name: m.Name, ID: id, Hosts: m.hosts(), Now: now, Lifetime: lifetime},
		m.files()); err != nil {
		return nil, err
	}
	if err := SaveAuthority(m.DataDir, ca, lifetime); err != nil {
		return nil, err
	}
	c := m.config(id, config.Cluster{Name: cluster, ID: clusterID, Incarnation: volume.NewClusterID()},
		[]config.Coordinator{{ID: id, Name: m.Name, API: m.Listen.API, Raft: m.Listen.Raft}})
	return c, install(m.Dir, c)
}

// unconfigured refuses a machine that is a node.
func (m Machine) unconfigured() error {
	c, err := config.Load(ConfigFile(m.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("this machine is node %s of cluster %s already (%s): `holdfast serve --config %s` runs it",
		c.Name, c.Cluster.Name, ConfigFile(m.Dir), ConfigFile(m.Dir))
}

// discard removes what an attempt that did not get to node.yaml has left, of this cluster or another: no daemon
// has used it, see fresh.
func (m Machine) discard() error {
	f := m.files()
	for _, path := range []string{f.CA, f.Cert, f.Key, m.joiningFile()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(ForgetAuthority(m.DataDir), os.RemoveAll(m.raftDir()))
}

// raftDir returns where a coordinator's data are.
func (m Machine) raftDir() string { return filepath.Join(m.DataDir, "raft") }
