package enroll

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/site"
)

// ErrNoNode is what Configure returns for a machine that is no node yet.
var ErrNoNode = errors.New("this machine is no node yet")

// Configure makes the node.yaml of a machine that is a node what a site says of it, and reports whether anything
// changed. What the node is stays: its name, identity, cluster and data_dir, and where it found its coordinators. The
// daemon goes by it once it is started anew.
func Configure(s *site.Site, name string) (c *config.Config, changed bool, err error) {
	m, err := MachineOf(s, name)
	if err != nil {
		return nil, false, err
	}
	if err := m.complete(); err != nil {
		return nil, false, err
	}
	file := ConfigFile(m.Dir)
	is, err := config.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, ErrNoNode
	}
	if err != nil {
		return nil, false, err
	}
	switch {
	case is.Name != name:
		return nil, false, fmt.Errorf("this machine is node %s (%s), not %s: name the right server with --name",
			is.Name, file, name)
	case is.Cluster.Name != s.Cluster.Name:
		return nil, false, fmt.Errorf("this machine is a node of cluster %s (%s), the site is of cluster %s",
			is.Cluster.Name, file, s.Cluster.Name)
	case is.DataDir != m.DataDir:
		return nil, false, fmt.Errorf("data_dir is %s (%s), the site says %s: a node that exists keeps its own, and "+
			"has to find in it what it promised", is.DataDir, file, m.DataDir)
	}
	want := m.config(is.ID, is.Cluster, is.Coordinators)
	want.BootIDFile, want.MemoryDir = is.BootIDFile, is.MemoryDir
	text, err := checked(want)
	if err != nil {
		return nil, false, fmt.Errorf("node %s: %w", name, err)
	}
	if want, err = config.Parse(text); err != nil { // with the defaults, as the one that there is
		return nil, false, err
	}
	before, errBefore := is.Marshal()
	after, errAfter := want.Marshal()
	if err := errors.Join(errBefore, errAfter); err != nil || bytes.Equal(before, after) {
		return is, false, err
	}
	if err := m.makeDirs(); err != nil {
		return nil, false, err
	}
	return want, true, install(m.Dir, want)
}
