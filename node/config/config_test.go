package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
)

const good = `name: n1
id: 0b0c5f6e-5a0e-4c5e-9a52-0d8f3c1f6d01
cluster: {name: p, id: 4f2c5f6e-5a0e-4c5e-9a52-0d8f3c1f6d01, incarnation: 4f2c5f6e-5a0e-4c5e-9a52-0d8f3c1f6d02}
roles: [coordinator, storage, host]
data_dir: /var/lib/holdfast
run_dir: /run/holdfast
listen: {api: "10.0.0.1:7443", raft: "10.0.0.1:7444", iscsi: "10.0.1.1:3260"}
networks: {storage: 10.0.1.0/24}
api_socket: /run/holdfast/api.sock
tls: {ca: /etc/holdfast/ca.pem, cert: /etc/holdfast/node.pem, key: /etc/holdfast/node.key}
stores:
  - {name: nvme0, path: /srv/holdfast/nvme0}
coordinators:
  - {id: 0b0c5f6e-5a0e-4c5e-9a52-0d8f3c1f6d01, name: n1, api: "10.0.0.1:7443", raft: "10.0.0.1:7444"}
`

func TestParse_goodConfigurationWithDefaults(t *testing.T) {
	c, err := Parse([]byte(good))
	require.NoError(t, err)
	require.Equal(t, "n1", c.Name)
	require.Equal(t, "0b0c5f6e-5a0e-4c5e-9a52-0d8f3c1f6d01", c.ID.String())
	require.True(t, c.Has(raft.RoleStorage))
	require.Equal(t, BootIDFile, c.BootIDFile)
	require.Equal(t, Timing{Heartbeat: 500 * time.Millisecond, DeadAfter: 2 * time.Second,
		TRead: 2 * time.Second}, c.Timing)
	require.Equal(t, "10.0.0.1:7443", c.Peers()[0].API)
	require.Equal(t, c.ID, c.Peers()[0].ID)
}

func TestMarshal_isReadBack(t *testing.T) {
	c, err := Parse([]byte(good + "timing: {heartbeat: 100ms, dead_after: 1s}\nlocation: {zone: a, rack: r1}\n"))
	require.NoError(t, err)
	require.Equal(t, raft.Location{Zone: "a", Rack: "r1"}, c.Location)
	require.Equal(t, 100*time.Millisecond, c.Timing.Heartbeat)
	text, err := c.Marshal()
	require.NoError(t, err)
	again, err := Parse(text)
	require.NoError(t, err)
	require.Equal(t, c, again)
}

func TestParse_refusals(t *testing.T) {
	replace := func(old, new string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, new, 1)
	}
	for name, test := range map[string]struct {
		text string
		want []string // every one is in the error
	}{
		"bad zone":      {good + "location: {zone: Zone_A}\n", []string{"location", "zone name"}},
		"bad place":     {good + "location: {row: a}\n", []string{"row"}},
		"unknown field": {good + "nmae: x\n", []string{"line 15", "nmae"}},
		"unknown nested field": {replace("{name: nvme0,", "{name: nvme0, sise: 1,"),
			[]string{"line 12", "sise"}},
		"repeated field":  {good + "name: n2\n", []string{"line 15", "name"}},
		"malformed id":    {replace("id: 0b0c5f6e", "id: 0x0c5f6e"), []string{"0x0c5f6e", "UUID"}},
		"second document": {good + "---\nname: n2\n", []string{"second document"}},
		"empty":           {"", []string{"empty"}},
		"bad name":        {replace("name: n1", "name: N_1"), []string{"node name"}},
		"unknown role":    {replace("[coordinator,", "[boss,"), []string{"boss"}},
		"role twice":      {replace("[coordinator,", "[host,"), []string{"host stands there twice"}},
		"relative path": {replace("data_dir: /var", "data_dir: var"),
			[]string{"data_dir", "absolute"}},
		"run_dir too long": {replace("run_dir: /run/holdfast", "run_dir: /run/"+strings.Repeat("x", 30)),
			[]string{"run_dir", "sockets"}},
		"wildcard address": {replace(`iscsi: "10.0.1.1:3260"`, `iscsi: "0.0.0.0:3260"`),
			[]string{"listen.iscsi"}},
		"no port": {replace(`iscsi: "10.0.1.1:3260"`, `iscsi: "10.0.0.1"`),
			[]string{"listen.iscsi"}},
		"port zero": {replace(`iscsi: "10.0.1.1:3260"`, `iscsi: "10.0.0.1:0"`),
			[]string{"listen.iscsi"}},
		"store twice": {replace("stores:\n", "stores:\n  - {name: nvme0, path: /srv/holdfast/nvme0/x}\n"),
			[]string{"nvme0 stands there twice", "lie in each other"}},
		"other address as coordinator": {replace(`name: n1, api: "10.0.0.1:7443"`,
			`name: n1, api: "10.0.0.9:7443"`),
			[]string{"coordinators[0]", "differ"}},
		"portal on another network": {replace("10.0.1.0/24", "10.0.2.0/24"),
			[]string{"listen.iscsi", "10.0.1.1:3260", "10.0.2.0/24"}},
		"portal on no storage network": {replace("networks: {storage: 10.0.1.0/24}\n", ""),
			[]string{"networks.storage: missing", "10.0.1.1:3260"}},
		"portal by name": {replace("10.0.1.1:3260", "n1.example:3260"),
			[]string{"listen.iscsi", "n1.example", "IP address"}},
		"no network": {replace("10.0.1.0/24", "10.0.1"), []string{"networks.storage", "10.0.1"}},
		"breathless": {good + "timing: {t_read: 900ms}\n", []string{"timing.t_read: 900ms is below 1s"}},
		"impatient":  {good + "timing: {heartbeat: 1s, dead_after: 2s}\n", []string{"three heartbeats"}},
		"all faults at once": {"name: n1\n", []string{"id: missing", "roles: missing", "data_dir: missing",
			"listen.api: missing", "coordinators: missing", "tls.key: missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(test.text))
			require.Error(t, err)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

// A file from before there were networks is good as long as nobody can read along.
func TestParse_aLoopbackPortalNeedsNoNetwork(t *testing.T) {
	old := strings.Replace(good, "networks: {storage: 10.0.1.0/24}\n", "", 1)
	for _, portal := range []string{"127.0.0.1:3260", "[::1]:3260", "127.1.2.3:3260", "localhost:3260"} {
		_, err := Parse([]byte(strings.Replace(old, "10.0.1.1:3260", portal, 1)))
		require.NoError(t, err, portal)
	}
}

func TestRunDirMax_longestSocketFits(t *testing.T) {
	socket := "/" + strings.Repeat("r", RunDirMax-1) + "/v/" + strings.Repeat("v", 63) + "/control.sock"
	require.LessOrEqual(t, len(socket), SocketPathMax)
}

func TestLoad_namesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.yaml")
	_, err := Load(path)
	require.ErrorContains(t, err, path)
	require.NoError(t, os.WriteFile(path, []byte("oops: 1\n"), 0o600))
	_, err = Load(path)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "oops")
}
