package enroll

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api/credential"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/volume"
)

func bootstrapSite() *site.Site {
	all := []string{"coordinator", "storage", "host"}
	return &site.Site{Cluster: site.Cluster{Name: "prod"}, Servers: []site.Server{
		{Name: "h1", Machine: site.Machine{Roles: []string{"host"}, Address: "10.0.0.9"}},
		{Name: "n1", Zone: "a", Rack: "r1", Machine: site.Machine{Roles: all, Address: "10.0.0.1",
			ListenISCSI: "10.0.1.1:3260", StorageNetwork: "10.0.1.0/24", DataDir: "/data",
			Stores: []site.Store{{Name: "s", Path: "/s"}}, Timing: site.Timing{TRead: time.Second}}},
		{Name: "n2", Machine: site.Machine{Roles: all, Address: "10.0.0.2", ListenAPI: "10.9.9.9:1"}},
		{Name: "n3", Machine: site.Machine{Roles: all}},
	}}
}

func TestMachineOf(t *testing.T) {
	m, err := MachineOf(bootstrapSite(), "n1")
	require.NoError(t, err)
	require.Equal(t, Machine{Dir: DefaultDir, DataDir: "/data", RunDir: DefaultRunDir, Name: "n1", Address: "10.0.0.1",
		Roles:  []raft.Role{raft.RoleCoordinator, raft.RoleStorage, raft.RoleHost},
		Listen: config.Listen{ISCSI: "10.0.1.1:3260"}, Storage: "10.0.1.0/24",
		Stores: []config.Store{{Name: "s", Path: "/s"}}, Location: raft.Location{Zone: "a", Rack: "r1"},
		Timing: config.Timing{TRead: time.Second}}, m)
	_, err = MachineOf(bootstrapSite(), "n9")
	require.ErrorContains(t, err, "site of cluster prod: there is no pservers/n9")
}

// Coordinators are asked first, the machine itself never, and one without an address cannot be.
func TestBootstrap_whomItAsks(t *testing.T) {
	require.Equal(t, []string{"10.0.0.1:7443", "10.9.9.9:1", "10.0.0.9:7443"}, othersAt(bootstrapSite(), "n3"))
	require.Equal(t, []string{"10.9.9.9:1", "10.0.0.9:7443"}, othersAt(bootstrapSite(), "n1"))
}

func TestBootstrap_refusals(t *testing.T) {
	token := func(cluster string) string {
		return credential.Join{Secret: credential.NewSecret(), Name: cluster, Cluster: volume.NewClusterID()}.Text()
	}
	for _, c := range []struct{ name, token, want string }{
		{"n9", token("prod"), "there is no pservers/n9"},
		{"n1", "nonsense", "token"},
		{"n1", token("other"), "the token is of cluster other, the site of cluster prod"},
	} {
		_, _, err := Bootstrap(t.Context(), BootstrapOptions{Site: bootstrapSite(), Name: c.name, Token: c.token})
		require.ErrorContains(t, err, c.want)
	}
	alone := bootstrapSite()
	alone.Servers = alone.Servers[1:2]
	_, _, err := Bootstrap(t.Context(), BootstrapOptions{Site: alone, Name: "n1", Token: token("prod")})
	require.ErrorContains(t, err, "no server but n1 has an address")
}
