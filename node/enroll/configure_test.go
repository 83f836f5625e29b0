package enroll

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/site"
)

// localSite returns a site whose server n1 has all of its directories in dir.
func localSite(dir string) *site.Site {
	return &site.Site{Cluster: site.Cluster{Name: "prod"}, Servers: []site.Server{{Name: "n1", Zone: "a",
		Machine: site.Machine{Roles: []string{"coordinator", "storage", "host"}, Address: "127.0.0.1",
			Stores:    []site.Store{{Name: "s1", Path: filepath.Join(dir, "s1")}},
			ConfigDir: filepath.Join(dir, "etc"), DataDir: filepath.Join(dir, "data"), RunDir: "/run/hf"}}}}
}

// A node follows what its site says, and stays the node that it is.
func TestConfigure_followsTheSite(t *testing.T) {
	dir := t.TempDir()
	s := localSite(dir)
	_, _, err := Configure(s, "n1")
	require.ErrorIs(t, err, ErrNoNode)
	m, err := MachineOf(s, "n1")
	require.NoError(t, err)
	founded, err := Found("prod", m, time.Hour)
	require.NoError(t, err)

	c, changed, err := Configure(s, "n1")
	require.NoError(t, err)
	require.False(t, changed)
	require.Equal(t, founded.ID, c.ID)

	of := &s.Servers[0]
	of.Zone, of.Machine.Timing.TRead = "b", time.Second
	of.Machine.Stores = append(of.Machine.Stores, site.Store{Name: "s2", Path: filepath.Join(dir, "s2")})
	c, changed, err = Configure(s, "n1")
	require.NoError(t, err)
	require.True(t, changed)
	loaded, err := config.Load(ConfigFile(m.Dir))
	require.NoError(t, err)
	require.Equal(t, c, loaded)
	require.Equal(t, founded.ID, loaded.ID)
	require.Equal(t, founded.Cluster, loaded.Cluster)
	require.Equal(t, founded.Coordinators, loaded.Coordinators)
	require.Equal(t, founded.TLS, loaded.TLS)
	require.Equal(t, raft.Location{Zone: "b"}, loaded.Location)
	require.Len(t, loaded.Stores, 2)
	require.DirExists(t, filepath.Join(dir, "s2"))
	_, changed, err = Configure(s, "n1")
	require.NoError(t, err)
	require.False(t, changed, "the same again changes nothing")
}

func TestConfigure_refusals(t *testing.T) {
	dir := t.TempDir()
	s := localSite(dir)
	m, err := MachineOf(s, "n1")
	require.NoError(t, err)
	_, err = Found("prod", m, time.Hour)
	require.NoError(t, err)
	first := func(s *site.Site) *site.Server { return &s.Servers[0] }
	for want, change := range map[string]func(*site.Site){
		"this machine is node n1":                    func(s *site.Site) { first(s).Name = "n2" },
		"the site is of cluster other":               func(s *site.Site) { s.Cluster.Name = "other" },
		"a node that exists keeps its own":           func(s *site.Site) { first(s).Machine.DataDir = dir },
		"stores: missing":                            func(s *site.Site) { first(s).Machine.Stores = nil },
		"differ from this node's own listen.api and": func(s *site.Site) { first(s).Machine.Address = "10.0.0.7" },
	} {
		s := localSite(dir)
		before, err := config.Load(ConfigFile(m.Dir))
		require.NoError(t, err)
		change(s)
		_, _, err = Configure(s, first(s).Name)
		require.ErrorContains(t, err, want)
		after, err := config.Load(ConfigFile(m.Dir))
		require.NoError(t, err)
		require.Equal(t, before, after)
	}
}
