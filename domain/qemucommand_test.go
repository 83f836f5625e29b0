package domain

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

func qemuOrder() Order {
	return Order{Name: "web1", Driver: DriverQEMU, Run: 1, Dir: "/run/d/web1", Volumes: []Volume{{Name: "root",
		URL:      "nbd+unix:///root?socket=/run/v/root/nbd.sock",
		BoundURL: "nbd+unix:///root@5f?socket=/run/v/root/nbd.sock"}}}
}

const (
	rootNode = `{"discard":"unmap","driver":"nbd","export":"root@5f","node-name":"volume0","reconnect-delay":60,` +
		`"server":{"path":"/run/v/root/nbd.sock","type":"unix"}}`
	rootDevice = `{"bootindex":0,"drive":"volume0","driver":"virtio-blk-pci","id":"disk0"}`
)

// Every field of a definition is found again in the command line.
func TestQEMUCommand(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Order)
		has    []string // each: arguments that follow each other
	}{
		"defaults": {func(*Order) {}, []string{
			"qemu-system-x86_64 -name web1 -nodefaults", "-machine q35 -accel kvm -cpu host -smp 1 -m size=512M",
			"-blockdev " + rootNode + " -device " + rootDevice,
			"-chardev socket,id=qmp,server=on,wait=off,path=/run/d/web1/qmp.sock -mon chardev=qmp,mode=control",
			"socket,id=console,server=on,wait=off,path=/run/d/web1/console.sock,logappend=on," +
				"logfile=/run/d/web1/console.log -serial chardev:console"}},
		"machine": {func(o *Order) { o.Machine.VCPUs, o.Machine.MemoryBytes = 4, 1536<<20 },
			[]string{"-smp 4 -m size=1536M"}},
		"commas": {func(o *Order) { o.Dir = "/run/d/a,b" }, []string{"path=/run/d/a,,b/qmp.sock -mon",
			"logfile=/run/d/a,,b/console.log"}},
		"settings": {func(o *Order) {
			o.Settings = json.RawMessage(`{"binary":"/opt/qemu","machine":"pc,usb=off","accelerator":"tcg",` +
				`"reconnect_delay":5,"arguments":["-S","-device","x"]}`)
		}, []string{"/opt/qemu -name", "-machine pc,usb=off -accel tcg -cpu max", `"reconnect-delay":5`,
			"-S -device x"}},
		"cpu": {func(o *Order) { o.Settings = json.RawMessage(`{"cpu":"max,-cx16"}`) }, []string{"-cpu max,-cx16"}},
		"kernel": {func(o *Order) {
			o.Machine.Boot = &guest.Boot{Kernel: "/k", Initrd: "/i", CommandLine: "a=b, c", RootImage: "/r,1"}
		}, []string{"-kernel /k -initrd /i -append a=b, c",
			`-blockdev {"driver":"raw","file":{"driver":"file","filename":"/r,1","read-only":true},` +
				`"node-name":"image","read-only":true}` +
				` -device {"drive":"image","driver":"virtio-blk-pci","id":"disk0"}`,
			`{"drive":"volume0","driver":"virtio-blk-pci","id":"disk1"}`}},
		"root image": {func(o *Order) { o.Machine.Boot = &guest.Boot{RootImage: "/r"} },
			[]string{`{"bootindex":0,"drive":"image","driver":"virtio-blk-pci","id":"disk0"}`,
				`{"bootindex":1,"drive":"volume0","driver":"virtio-blk-pci","id":"disk1"}`}},
		"firmware": {func(o *Order) { o.Machine.Boot = &guest.Boot{Firmware: "/f"} }, []string{"-bios /f"}},
		"interfaces": {func(o *Order) {
			o.Machine.Interfaces = []guest.Interface{{MAC: "52:54:00:00:00:01"},
				{MAC: "52:54:00:00:00:02", Bridge: "br0"}}
		}, []string{`-netdev user,id=net0 -device {"driver":"virtio-net-pci","id":"interface0",` +
			`"mac":"52:54:00:00:00:01","netdev":"net0","romfile":""}`, "-netdev bridge,id=net1,br=br0 -device"}},
		"plain name": {func(o *Order) { o.Volumes[0].BoundURL = "" },
			[]string{`"export":"root","node-name":"volume0","reconnect-delay":0`}},
		"devices": {func(o *Order) {
			more := o.Volumes[0]
			more.Name, more.Device, more.BoundURL = "data", "vda", "nbd+unix:///data@1?socket=/run/v/data/nbd.sock"
			o.Volumes = append(o.Volumes, more)
		}, []string{`"export":"data@1","node-name":"volume0"`, `"export":"root@5f","node-name":"volume1"`}},
	} {
		t.Run(name, func(t *testing.T) {
			o := qemuOrder()
			c.change(&o)
			args, env, err := qemuCommand(o)
			require.NoError(t, err)
			require.Empty(t, env)
			for _, want := range c.has {
				require.Contains(t, strings.Join(args, " "), want)
			}
		})
	}
}

func TestQEMUCommand_noDiskToPlugInto(t *testing.T) {
	for _, url := range []string{"", "nbd://host/x", "nbd+unix:///x", "nbd+unix:///?socket=/s", "nbd+unix://%zz"} {
		o := qemuOrder()
		o.Volumes[0].URL, o.Volumes[0].BoundURL = url, ""
		_, _, err := qemuCommand(o)
		require.ErrorContains(t, err, "volume root", url)
	}
}

func TestQEMU_check(t *testing.T) {
	disks := func(devices ...string) (all []guest.Volume) {
		for i, device := range devices {
			all = append(all, guest.Volume{Name: string(rune('a' + i)), Device: device})
		}
		return all
	}
	image := guest.Machine{Boot: &guest.Boot{RootImage: "/r"}}
	for _, c := range []struct {
		machine  guest.Machine
		volumes  []guest.Volume
		settings string
		path     string // empty: nothing is wrong
	}{
		{guest.Machine{}, disks(""), ``, ""},
		{guest.Machine{}, disks("vdb", "vda", ""), ``, ""},
		{image, disks("vdb", ""), ``, ""},
		{image, disks("vda"), ``, "volumes[0].device"},
		{guest.Machine{}, disks("vdb"), ``, "volumes[0].device"},
		{guest.Machine{}, disks("vda", "vda"), ``, "volumes[1].device"},
		{guest.Machine{}, disks("sda"), ``, "volumes[0].device"},
		{guest.Machine{}, disks("vd"), ``, "volumes[0].device"},
		{guest.Machine{}, disks("vda1"), ``, "volumes[0].device"},
		{guest.Machine{}, disks(make([]string, 26)...), ``, ""},
		{guest.Machine{}, disks(make([]string, 27)...), ``, "volumes"},
		{image, disks(make([]string, 26)...), ``, "volumes"},
		{guest.Machine{}, disks(""), `{"binary":""}`, "qemu.binary"},
		{guest.Machine{}, disks(""), `{"machine":""}`, "qemu.machine"},
		{guest.Machine{}, disks(""), `{"accelerator":"hvf"}`, "qemu.accelerator"},
		{guest.Machine{}, disks(""), `{"reconnect_delay":0}`, "qemu.reconnect_delay"},
		{guest.Machine{}, disks(""), `{"arguments":["a","b\u0000"]}`, "qemu.arguments[1]"},
		{guest.Machine{VCPUs: -1}, disks(""), ``, "vcpus"},
	} {
		err := Check(guest.Definition{Name: "web1", Driver: DriverQEMU, Machine: c.machine, Volumes: c.volumes,
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
