package domain

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

func xlText(t *testing.T, change func(*Order)) string {
	t.Helper()
	o := qemuOrder()
	o.Driver, o.Machine.Boot = DriverXL, &guest.Boot{Kernel: "/boot/vmlinuz"}
	change(&o)
	require.NoError(t, Check(o.definition()))
	x, err := xenHost{}.guest(o)
	require.NoError(t, err)
	text, err := x.config()
	require.NoError(t, err)
	return text
}

func TestXLConfig(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Order)
		has    []string // lines
		not    []string // beginnings of lines
	}{
		"defaults": {func(*Order) {}, []string{`name = "web1"`, `uuid = "` + uuidOf("", "web1") + `"`, `type = "pv"`,
			`kernel = "/boot/vmlinuz"`, `memory = 512`, `vcpus = 1`, `on_poweroff = "destroy"`,
			`on_reboot = "restart"`, `on_crash = "destroy"`,
			`  "format=raw, vdev=xvda, access=rw, backendtype=qdisk, target=/run/d/web1/disk0",`},
			[]string{"ramdisk", "cmdline", "bootloader", "firmware", "serial", "vnc"}},
		"machine": {func(o *Order) {
			o.Machine.VCPUs, o.Machine.MemoryBytes = 4, 1536<<20
			o.Machine.Interfaces = []guest.Interface{{MAC: "00:16:3e:00:00:01", Bridge: "xenbr0"}}
		}, []string{`memory = 1536`, `vcpus = 4`, `  "mac=00:16:3e:00:00:01,bridge=xenbr0",`}, nil},
		"kernel": {func(o *Order) {
			o.Machine.Boot = &guest.Boot{Kernel: "/k", Initrd: "/i", CommandLine: `root=/dev/xvdb x="a b"`,
				RootImage: "/srv/root, 1.img"}
		}, []string{`kernel = "/k"`, `ramdisk = "/i"`, `cmdline = 'root=/dev/xvdb x="a b"'`,
			`  "format=raw, vdev=xvda, access=ro, backendtype=qdisk, target=/srv/root, 1.img",`,
			`  "format=raw, vdev=xvdb, access=rw, backendtype=qdisk, target=/run/d/web1/disk0",`}, nil},
		"bootloader": {func(o *Order) {
			o.Machine.Boot, o.Settings = nil, json.RawMessage(`{"type":"pvh","bootloader":"pygrub"}`)
		}, []string{`type = "pvh"`, `bootloader = "pygrub"`}, []string{"kernel"}},
		"hvm": {func(o *Order) {
			o.Machine.Boot = &guest.Boot{Firmware: "/usr/lib/xen-4.17/boot/ovmf.bin"}
			o.Settings = json.RawMessage(`{"type":"hvm","uuid":"0D9A3C1E-0000-4000-8000-000000000001"}`)
		}, []string{`type = "hvm"`, `uuid = "0d9a3c1e-0000-4000-8000-000000000001"`,
			`firmware_override = "/usr/lib/xen-4.17/boot/ovmf.bin"`, `serial = "pty"`, `vnc = 0`}, []string{"kernel"}},
		"lines": {func(o *Order) {
			o.Settings = json.RawMessage(`{"lines":["cpus = \"2-3\"","cpu_weight=512"]}`)
		}, []string{`cpus = "2-3"`, `cpu_weight=512`}, nil},
		"devices": {func(o *Order) {
			o.Volumes = []Volume{{Name: "a"}, {Name: "b", Device: "xvda"}, {Name: "c", Device: "xvdz"}, {Name: "d"}}
		}, []string{`  "format=raw, vdev=xvdb, access=rw, backendtype=qdisk, target=/run/d/web1/disk0",`,
			`  "format=raw, vdev=xvda, access=rw, backendtype=qdisk, target=/run/d/web1/disk1",`,
			`  "format=raw, vdev=xvdz, access=rw, backendtype=qdisk, target=/run/d/web1/disk2",`,
			`  "format=raw, vdev=xvdc, access=rw, backendtype=qdisk, target=/run/d/web1/disk3",`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			lines := strings.Split(xlText(t, c.change), "\n")
			for _, want := range c.has {
				require.Contains(t, lines, want)
			}
			for _, begin := range c.not {
				for _, line := range lines {
					require.False(t, strings.HasPrefix(line, begin), line)
				}
			}
		})
	}
}

func TestXLConfig_isForNobodyElseToRead(t *testing.T) {
	o := qemuOrder()
	o.Driver, o.Dir, o.Machine.Boot = DriverXL, t.TempDir(), &guest.Boot{Kernel: "/k"}
	require.NoError(t, os.WriteFile(xlConfigPath(o.Dir), nil, 0o644))
	x, err := xenHost{}.guest(o)
	require.NoError(t, err)
	require.NoError(t, x.writeConfig())
	info, err := os.Stat(xlConfigPath(o.Dir))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	x.order.Dir = `/run/d/"x`
	_, err = x.config()
	require.ErrorContains(t, err, "quotes")
}

func TestXL_check(t *testing.T) {
	kernel := guest.Machine{Boot: &guest.Boot{Kernel: "/k"}}
	line := func(l string) string {
		text, err := json.Marshal(map[string][]string{"lines": {"cpus = \"1\"", l}})
		require.NoError(t, err)
		return string(text)
	}
	boot := func(b guest.Boot) guest.Machine { return guest.Machine{Boot: &b} }
	disks := func(devices ...string) (all []guest.Volume) {
		for i, device := range devices {
			all = append(all, guest.Volume{Name: string(rune('a' + i)), Device: device})
		}
		return all
	}
	for _, c := range []struct {
		machine  guest.Machine
		volumes  []guest.Volume
		settings string
		path     string // empty: nothing is wrong
	}{
		{kernel, disks("", "xvda", "xvdz"), ``, ""},
		{kernel, disks(make([]string, 26)...), ``, ""},
		{kernel, disks(make([]string, 27)...), ``, "volumes"},
		{boot(guest.Boot{Kernel: "/k", RootImage: "/r"}), disks(make([]string, 26)...), ``, "volumes"},
		{boot(guest.Boot{Kernel: "/k", RootImage: "/r"}), disks("xvda"), ``, "volumes[0].device"},
		{kernel, disks("xvdb", "xvdb"), ``, "volumes[1].device"},
		{kernel, disks("vda"), ``, "volumes[0].device"}, {kernel, disks("xvdA"), ``, "volumes[0].device"},
		{kernel, disks("xvd"), ``, "volumes[0].device"}, {kernel, disks("xvdaa"), ``, "volumes[0].device"},
		{guest.Machine{}, nil, ``, "boot.kernel"}, {guest.Machine{}, nil, `{"type":"pvh"}`, "boot.kernel"},
		{guest.Machine{}, nil, `{"type":"hvm"}`, ""}, {guest.Machine{}, nil, `{"bootloader":"pygrub"}`, ""},
		{kernel, nil, `{"type":"hvm"}`, ""}, {kernel, nil, `{"bootloader":"pygrub"}`, "xl.bootloader"},
		{guest.Machine{}, nil, `{"type":"hvm","bootloader":"pygrub"}`, "xl.bootloader"},
		{guest.Machine{}, nil, `{"bootloader":"py\ngrub"}`, "xl.bootloader"},
		{boot(guest.Boot{Firmware: "/f"}), nil, `{"type":"hvm"}`, ""},
		{boot(guest.Boot{Firmware: "/f"}), nil, `{"bootloader":"pygrub"}`, "boot.firmware"},
		{kernel, nil, `{"type":"xen"}`, "xl.type"}, {kernel, nil, `{"uuid":"x"}`, "xl.uuid"},
		{kernel, nil, `{"binary":""}`, "xl.binary"}, {kernel, nil, `{"storage_daemon":""}`, "xl.storage_daemon"},
		{kernel, nil, `{"reconnect_delay":0}`, "xl.reconnect_delay"}, {kernel, nil, `{"lines":"x"}`, "xl.lines"},
		{kernel, nil, `{"kernel":"x"}`, "xl.kernel"},
		{boot(guest.Boot{Kernel: "/k", CommandLine: `"'`}), nil, ``, "boot.command_line"},
		{boot(guest.Boot{Kernel: `/k\`}), nil, ``, "boot.kernel"},
		{boot(guest.Boot{Kernel: "/k", Initrd: "/a\nb"}), nil, ``, "boot.initrd"},
		{boot(guest.Boot{Kernel: "/k", RootImage: `/a"b`}), nil, ``, "boot.root_image"},
		{guest.Machine{Boot: kernel.Boot, Interfaces: []guest.Interface{{MAC: "00:16:3e:00:00:01"}}}, nil, ``,
			"interfaces[0].bridge"},
		{guest.Machine{Boot: kernel.Boot, Interfaces: []guest.Interface{{MAC: "00:16:3e:00:00:01", Bridge: `x"`}}},
			nil, ``, "interfaces[0].bridge"},
		{kernel, nil, line(`vcpu_avail = 1`), ""}, {kernel, nil, line(`cpus = ["2", '3']`), ""},
		{kernel, nil, line(`usbdev += "x"`), ""}, {kernel, nil, line(`device_model_args = ["-a;b", "#"]`), ""},
		{kernel, nil, line(`name = "other"`), "xl.lines[1]"},
		{kernel, nil, line(`disk += ["x"]`), "xl.lines[1]"},
		{kernel, nil, line(`on_crash="preserve"`), "xl.lines[1]"}, {kernel, nil, line(`cpus`), "xl.lines[1]"},
		{kernel, nil, line(`a = 1; name = "x"`), "xl.lines[1]"},
		{kernel, nil, line("a = 1\nname = 2"), "xl.lines[1]"},
		{kernel, nil, line(`a = "x`), "xl.lines[1]"}, {kernel, nil, line(`a = 1 # b`), "xl.lines[1]"},
		{kernel, nil, line(`a = "x\"; name = 1"`), "xl.lines[1]"}, {kernel, nil, line(`A B = 1`), "xl.lines[1]"},
	} {
		err := Check(guest.Definition{Name: "web1", Driver: DriverXL, Machine: c.machine, Volumes: c.volumes,
			Settings: json.RawMessage(c.settings)})
		if c.path == "" {
			require.NoError(t, err, "%+v", c)
			continue
		}
		var fault *guest.Fault
		require.ErrorAs(t, err, &fault, "%+v", c)
		require.Equal(t, c.path, fault.Path, "%+v", c)
	}
}

// What xl of Xen 4.17 writes, also of a domain that is being made and of one that is forgotten.
// What somebody else's domain is called keeps no guest from being found, and no name passes for the columns behind it.
func TestParseXLList_namesOfOthers(t *testing.T) {
	const own, other = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
	columns := func(id, uuid string) string {
		return fmt.Sprintf("%5s   512     2     -b----   12345.6 %s        -                -", id, uuid)
	}
	heads := "Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID  " +
		"                          Reason-Code\tSecurity Label\n"
	for name, wrote := range map[string]string{
		"blanks": "Windows Server 2022", "none": "", "digits": "7", "long": strings.Repeat("long ", 20),
		"columns": "x" + columns("1", own),
	} {
		t.Run(name, func(t *testing.T) {
			all, err := parseXLList(heads + fmt.Sprintf("%-40s ", wrote) + columns("4", other) + "\n" +
				fmt.Sprintf("%-40s ", "web1") + columns("5", own) + "\n")
			require.NoError(t, err)
			require.Equal(t, []xenDomain{{"4", strings.TrimRight(wrote, " "), other, "-b----"},
				{"5", "web1", own, "-b----"}}, all)
		})
	}
}

func TestParseXLList(t *testing.T) {
	all, err := parseXLList("Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID  " +
		"                          Reason-Code\tSecurity Label\n" +
		"Domain-0                                     0  1000     1     r-----      90.0 " +
		"00000000-0000-0000-0000-000000000000        -                -\n" +
		"web1                                         1     0     0     --p---       0.0 " +
		"11111111-2222-3333-4444-55555555555A        -                -\n" +
		"(null)                                       2   128     1     --psrd       1.0 " +
		"11111111-2222-3333-4444-555555555556        0                -\n")
	require.NoError(t, err)
	require.Equal(t, []xenDomain{{"0", "Domain-0", "00000000-0000-0000-0000-000000000000", "r-----"},
		{"1", "web1", "11111111-2222-3333-4444-55555555555a", "--p---"},
		{"2", "(null)", "11111111-2222-3333-4444-555555555556", "--psrd"}}, all)
	require.True(t, all[1].paused() && !all[1].dying() && all[2].dying())
	for _, text := range []string{"", "Name ID Mem VCPUs State Time(s)\n", "web1 1 2 3 r----- 0.0\n",
		"Name ID Mem VCPUs State Time(s) UUID\nweb1 1 0 0 r----- 0.0 not-a-uuid\n"} {
		_, err := parseXLList(text)
		require.Error(t, err, text)
	}
}
