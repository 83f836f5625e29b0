package enroll

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/raft"
)

// Configure makes each field of node.yaml from the site, or keeps what the node has: a field that it forgets would be
// lost when a machine is bootstrapped once more. Who adds a field says here which of the two it is.
func TestConfigure_everyFieldIsMadeOrKept(t *testing.T) {
	kept := map[string]bool{
		"Name": true, "ID": true, "Cluster": true, "DataDir": true, "Coordinators": true, "BootIDFile": true,
		"MemoryDir": true,
		"Roles":     false, "RunDir": false, "Listen": false, "Networks": false, "APISocket": false, "TLS": false,
		"Stores": false, "Location": false, "Timing": false,
	}
	dir := t.TempDir()
	s := localSite(dir)
	m, err := MachineOf(s, "n1")
	require.NoError(t, err)
	_, err = Found("prod", m, time.Hour)
	require.NoError(t, err)
	file := ConfigFile(m.Dir)
	made, err := config.Load(file) // with the defaults
	require.NoError(t, err)

	was := *made
	was.BootIDFile, was.MemoryDir = "/run/boot_id", "/run/memory"
	was.Roles = []raft.Role{raft.RoleCoordinator, raft.RoleStorage}
	was.RunDir, was.APISocket = "/run/other", "/run/other/api.sock"
	was.Listen.ISCSI, was.Networks.Storage = "127.0.0.1:3261", "127.0.0.0/8"
	was.TLS.Key = dir + "/other.key"
	was.Stores = []config.Store{{Name: "other", Path: dir + "/other"}}
	was.Location.Zone, was.Timing.TRead = "z", time.Second
	require.NoError(t, install(m.Dir, &was))

	_, changed, err := Configure(s, "n1")
	require.NoError(t, err)
	require.True(t, changed)
	is, err := config.Load(file)
	require.NoError(t, err)
	before, site, after := reflect.ValueOf(was), reflect.ValueOf(*made), reflect.ValueOf(*is)
	for i := range after.NumField() {
		name := after.Type().Field(i).Name
		keep, known := kept[name]
		require.True(t, known, "%s: is it made from the site, or kept?", name)
		if keep {
			require.False(t, before.Field(i).IsZero(), "%s: this test has to set it", name)
			require.Equal(t, before.Field(i).Interface(), after.Field(i).Interface(), name)
			continue
		}
		require.NotEqual(t, before.Field(i).Interface(), site.Field(i).Interface(),
			"%s: this test has to change it", name)
		require.Equal(t, site.Field(i).Interface(), after.Field(i).Interface(), name)
	}
	require.Len(t, kept, after.NumField(), "no field that there is no more")
}
