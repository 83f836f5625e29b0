package definition

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

const smallest = `name: web1
driver: exec
exec: {command: [/usr/local/bin/guest, --disk, $HOLDFAST_VOLUME_ROOT_URL]}
volumes: [{name: root}]
hosts: [h1, h2]          # in order of preference
`

func smallestDefinition() Definition {
	return Definition{Name: "web1", Driver: "exec", Volumes: []guest.Volume{{Name: "root"}},
		Hosts:    []string{"h1", "h2"},
		Settings: json.RawMessage(`{"command":["/usr/local/bin/guest","--disk","$HOLDFAST_VOLUME_ROOT_URL"]}`)}
}

func TestParse_smallest(t *testing.T) {
	d, err := Parse("web1.yaml", []byte(smallest))
	require.NoError(t, err)
	require.Equal(t, smallestDefinition(), d)
}

func TestParse_json(t *testing.T) {
	d, err := Parse("web1.json", []byte(`{
	"name": "web1", "driver": "exec", "hosts": ["h1", "h2"],
	"volumes": [{"name": "root"}],
	"exec": {"command": ["/usr/local/bin/guest", "--disk", "$HOLDFAST_VOLUME_ROOT_URL"]}
}`))
	require.NoError(t, err)
	require.Equal(t, smallestDefinition(), d)
}

// The examples can be defined as they are.
func TestParse_examples(t *testing.T) {
	files, err := filepath.Glob("../../examples/domains/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		_, err = Parse(f, text)
		require.NoError(t, err)
	}
}

func TestParse_policy(t *testing.T) {
	d, err := Parse("web1.yaml", []byte(smallest+"anti_affinity: web\nstart_order: -3\nrestart: never\n"+
		"failover: manual\nstop_timeout: 2m\n"))
	require.NoError(t, err)
	require.Equal(t, "web", d.AntiAffinity)
	require.Equal(t, guest.Policy{StartOrder: -3, Restart: guest.RestartNever, Failover: guest.FailoverManual,
		StopSeconds: 120}, d.Policy)
}

// Whatever is wrong is named with file, line and column.
func TestParse_faults(t *testing.T) {
	for _, c := range [][2]string{
		{"\n", "f holds no definition; `holdfast domain define --help` shows one"},
		{"# only a comment", "f holds no definition; `holdfast domain define --help` shows one"},
		{"name: a\n---\nname: b", "f: holds more than one document"},
		{"[a]", "f: line 1, column 1: a definition is a group of fields"},
		{"name: [", "f: line 1: did not find"},
		{"name: web1\n x: 1", "f: line "},
		{"driver: exec", `f: line 1, column 1: name: domain name ""`},
		{"name: Web\ndriver: exec", `f: line 1, column 7: name: domain name "Web"`},
		{"name: web1", "f: line 1, column 1: driver: domain web1 names no driver: add one, as in driver: exec"},
		{"name: web1\ndriver: vmware",
			`f: line 2, column 9: driver: the driver "vmware" is unknown: want one of exec`},
		{smallest + "speed: 3\n", "f: line 6, column 1: the field speed is unknown"},
		{smallest + "name: web2\n", "f: line 6, column 1: "},
		{smallest + "memory: 1X\n", `f: line 6, column 9: memory: `},
		{smallest + "memory: 1G\n", `f: line 6, column 9: memory: the driver exec can do nothing with it`},
		{smallest + "vcpus: 0\n", "f: line 6, column 8: vcpus: 0: want 1 to 1024"},
		{smallest + "vcpus: many\n", "f: line 6, column 8: want a whole number"},
		{smallest + "vcpus: 2\n", "f: line 6, column 8: vcpus: the driver exec can do nothing with it"},
		{smallest + "boot: {kernel: image:linux@0}\n",
			`f: line 6, column 16: boot.kernel: version "0" of image linux: want a number from 1`},
		{smallest + "boot: {kernel: k}\n", `f: line 6, column 16: boot.kernel: "k": want an absolute path`},
		{smallest + "boot:\n  colour: blue\n", "f: line 7, column 3: the field colour is unknown"},
		{smallest + "interfaces:\n- mac: 52:54:00:12:34\n",
			`f: line 7, column 8: interfaces[0].mac: "52:54:00:12:34"`},
		{smallest + "interfaces: [{mac: 52:54:00:12:34:56}]\n",
			"f: line 6, column 13: interfaces: the driver exec can do nothing with it"},
		{smallest + "restart: sometimes\n", `f: line 6, column 10: restart: "sometimes": want always or never`},
		{smallest + "failover: maybe\n", `f: line 6, column 11: failover: "maybe": want automatic or manual`},
		{smallest + "stop_timeout: 30\n", `f: line 6, column 15: stop_timeout: "30": want whole seconds`},
		{smallest + "stop_timeout: 100h\n", "f: line 6, column 15: stop_timeout: 360000 s: want 1s to 1h0m0s"},
		{smallest + "start_order: 9999999\n", "f: line 6, column 14: start_order: 9999999: want"},
		{smallest + "anti_affinity: A b\n", "f: line 6, column 16: anti_affinity: "},
		{"name: web1\ndriver: exec\nexec: [x]", "f: line 3, column 7: want fields with names"},
		{"name: web1\ndriver: exec\nexec:\n  speed: 3\n  command: [x]",
			"f: line 4, column 10: exec.speed: the field is unknown"},
		{"name: web1\ndriver: exec\nexec:\n  command: x",
			"f: line 4, column 12: exec.command: want a list, found: string"},
		{"name: web1\ndriver: exec\nexec: {}", "f: line 3, column 7: exec: the exec driver needs a command"},
		{"name: web1\ndriver: exec\nvolumes: [{name: A}]", `f: line 3, column 18: volumes[0].name: volume name "A"`},
		{"name: web1\ndriver: exec\nhosts: [a, B]", `f: line 3, column 12: hosts[1]: host name "B"`},
		{smallest + "exec: {command: [y]}\n", "f: line 6, column 1: "},
		{"name: web1\ndriver: exec\nvolumes: [{name: a, device: vda}]\nexec: {command: [x]}",
			"f: line 3, column 29: volumes[0].device: the driver exec can do nothing with it"},
	} {
		_, err := Parse("f", []byte(c[0]))
		require.ErrorContains(t, err, c[1], c[0])
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(smallest))
	f.Add([]byte(`{"name": "a", "driver": "exec", "exec": {"command": ["x"]}, "volumes": []}`))
	f.Add([]byte("name: &a web1\ndriver: exec\nhosts: [*a]\nexec: {command: [*a]}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse("f", text)
		if err != nil {
			return
		}
		written, err := Format(d)
		require.NoError(t, err)
		again, err := Parse("f", written)
		require.NoError(t, err, "%s", written)
		require.Equal(t, withoutForm(d), withoutForm(again), "%s", written)
	})
}

// withoutForm returns a definition in which "none" has one form.
func withoutForm(d Definition) Definition {
	d.Machine = d.Machine.Clone()
	if len(d.Hosts) == 0 {
		d.Hosts = nil
	}
	return d
}

func TestFormat_isReadAgain(t *testing.T) {
	d := smallestDefinition()
	d.Policy = guest.Policy{StartOrder: 7, Restart: guest.RestartNever, Failover: guest.FailoverManual, StopSeconds: 90}
	d.AntiAffinity = "web"
	text, err := Format(d)
	require.NoError(t, err)
	require.Contains(t, string(text), "stop_timeout: 1m30s\n")
	again, err := Parse("f", text)
	require.NoError(t, err)
	require.Equal(t, d, again)
}

// What no driver of today takes together is written all the same.
func TestFormat_everyField(t *testing.T) {
	text, err := Format(Definition{Name: "web1", Driver: "none",
		Machine: guest.Machine{VCPUs: 2, MemoryBytes: 1536 << 20,
			Interfaces: []guest.Interface{{MAC: "52:54:00:12:34:56", Bridge: "br0"}},
			Boot: &guest.Boot{Kernel: "/k", Initrd: "/i", CommandLine: "root=/dev/vda", RootImage: "/r",
				Firmware: "/f"}},
		Volumes:  []guest.Volume{{Name: "root", Device: "vda"}},
		Settings: json.RawMessage(`{"n":3,"f":1.5,"l":[true,"x"]}`)})
	require.NoError(t, err)
	require.Equal(t, `name: web1
driver: none
vcpus: 2
memory: 1536M
interfaces:
  - mac: "52:54:00:12:34:56"
    bridge: br0
boot:
  kernel: /k
  initrd: /i
  command_line: root=/dev/vda
  root_image: /r
  firmware: /f
volumes:
  - name: root
    device: vda
none:
  f: 1.5
  l:
    - true
    - x
  "n": 3
`, string(text))
}
