package enroll

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/raft"
)

func machine(dir string) Machine {
	return Machine{Dir: filepath.Join(dir, "etc"), Name: "n1", Roles: []raft.Role{raft.RoleCoordinator},
		Listen: config.Listen{API: "127.0.0.1:7443", Raft: "127.0.0.1:7444"}, DataDir: filepath.Join(dir, "data"),
		RunDir: "/run/holdfast"}
}

// TestFound_afterAnInterruptedOne: what an attempt left that did not get to node.yaml is of another cluster.
func TestFound_afterAnInterruptedOne(t *testing.T) {
	m := machine(t.TempDir())
	first, err := Found("prod", m, time.Hour)
	require.NoError(t, err)
	require.NoError(t, os.Remove(ConfigFile(m.Dir)))
	require.NoError(t, os.WriteFile(m.joiningFile(), []byte("{}"), 0o600))

	second, err := Found("prod", m, time.Hour)
	require.NoError(t, err)
	require.NotEqual(t, first.Cluster.Incarnation, second.Cluster.Incarnation)
	group, err := raft.OpenGroup(filepath.Join(m.DataDir, "raft"))
	require.NoError(t, err)
	require.Equal(t, second.Cluster.Incarnation, group.ID(), "it can elect itself")
	ca, err := LoadAuthority(m.DataDir)
	require.NoError(t, err)
	require.NotNil(t, ca)
	require.NoFileExists(t, m.joiningFile())

	_, err = Found("prod", m, time.Hour)
	require.ErrorContains(t, err, "this machine is node n1 of cluster prod already")
}

// TestFound_keepsWhatADaemonUsed: a data directory in which a daemon ran is never cleared.
func TestFound_keepsWhatADaemonUsed(t *testing.T) {
	m := machine(t.TempDir())
	_, err := Found("prod", m, time.Hour)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(m.DataDir, "node"), []byte("somebody\n"), 0o600))
	require.NoError(t, os.Remove(ConfigFile(m.Dir)))
	_, err = Found("prod", m, time.Hour)
	require.ErrorContains(t, err, "belongs to node somebody")
	require.DirExists(t, filepath.Join(m.DataDir, "raft"))
}
