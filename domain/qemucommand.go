package domain

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

// qemuSettings are what a definition says below qemu.
type qemuSettings struct {
	Binary         string   `json:"binary"`          // program; qemu-system-x86_64
	Machine        string   `json:"machine"`         // with its options; q35
	Accelerator    string   `json:"accelerator"`     // kvm, or tcg for emulation
	CPU            string   `json:"cpu"`             // host with kvm, max with tcg
	ReconnectDelay int      `json:"reconnect_delay"` // seconds that requests wait for a disk that is away; 60
	Agent          bool     `json:"agent"`           // it has the channel of QEMU's guest agent
	Arguments      []string `json:"arguments"`       // that come last, as they are
}

// What a guest gets that does not say.
const (
	qemuVCPUs          = 1
	qemuMemory         = 512 << 20
	qemuReconnectDelay = 60
)

func qemuSettingsOf(d guest.Definition) (qemuSettings, error) {
	s := qemuSettings{Binary: "qemu-system-x86_64", Machine: "q35", Accelerator: "kvm",
		ReconnectDelay: qemuReconnectDelay}
	if err := d.Refuse("vcpus", "memory", "interfaces", "boot", "device"); err != nil {
		return s, err
	}
	if err := d.DecodeSettings(&s); err != nil {
		return s, err
	}
	if s.CPU == "" {
		s.CPU = map[bool]string{true: "host", false: "max"}[s.Accelerator == "kvm"]
	}
	switch {
	case s.Binary == "" || strings.ContainsRune(s.Binary, 0):
		return s, guest.Faultf("qemu.binary", "%q: want a program, as in qemu-system-x86_64", s.Binary)
	case s.Machine == "":
		return s, guest.Faultf("qemu.machine", "want a machine, as in q35")
	case s.Accelerator != "kvm" && s.Accelerator != "tcg":
		return s, guest.Faultf("qemu.accelerator", "%q: want kvm or tcg", s.Accelerator)
	case s.ReconnectDelay < 1 || s.ReconnectDelay > 3600:
		return s, guest.Faultf("qemu.reconnect_delay", "%d: want 1 to 3600 seconds", s.ReconnectDelay)
	}
	for i, a := range s.Arguments {
		if strings.ContainsRune(a, 0) {
			return s, guest.Faultf(fmt.Sprintf("qemu.arguments[%d]", i), "it holds a zero byte")
		}
	}
	return s, nil
}

// diskOrder returns the guest's volumes in the order in which it is to see them, as indexes. A virtio disk is called
// vda, vdb … by its place, so that a name is a place; without one a volume takes the first that is free.
func diskOrder(d guest.Definition) ([]int, error) {
	first := 0
	if b := d.Machine.Boot; b != nil && b.RootImage != "" {
		first = 1 // the image is vda
	}
	if first+len(d.Volumes) > 26 {
		return nil, guest.Faultf("volumes", "%d of them: QEMU's disks are vda to vdz", len(d.Volumes))
	}
	const free = -1
	places := make([]int, len(d.Volumes))
	for i := range places {
		places[i] = free
	}
	for i, v := range d.Volumes {
		if v.Device == "" {
			continue
		}
		at := fmt.Sprintf("volumes[%d].device", i)
		place, ok := placeOf(v.Device)
		switch place -= first; {
		case !ok:
			return nil, guest.Faultf(at, "%q: QEMU's disks are vda to vdz", v.Device)
		case place < 0:
			return nil, guest.Faultf(at, "vda is the root image")
		case place >= len(places):
			return nil, guest.Faultf(at, "%s: the last of its disks is %s, since a guest sees no gaps", v.Device,
				deviceAt(first+len(places)-1))
		case places[place] != free:
			return nil, guest.Faultf(at, "%s is that of volume %s too", v.Device, d.Volumes[places[place]].Name)
		}
		places[place] = i
	}
	next := 0
	for i, v := range d.Volumes {
		if v.Device != "" {
			continue
		}
		for places[next] != free {
			next++
		}
		places[next] = i
	}
	return places, nil
}

// placeOf returns which disk a name is, from 0.
func placeOf(device string) (place int, ok bool) {
	if len(device) != 3 || !strings.HasPrefix(device, "vd") || device[2] < 'a' || device[2] > 'z' {
		return 0, false
	}
	return int(device[2] - 'a'), true
}

func deviceAt(place int) string { return "vd" + string(rune('a'+place)) }

// qemuCommand builds the command line of a guest. It touches nothing.
func qemuCommand(o Order) (args []string, env map[string]string, err error) {
	d := o.definition()
	s, err := qemuSettingsOf(d)
	if err != nil {
		return nil, nil, err
	}
	m := d.Machine
	if m.VCPUs == 0 {
		m.VCPUs = qemuVCPUs
	}
	if m.MemoryBytes == 0 {
		m.MemoryBytes = qemuMemory
	}
	args = []string{s.Binary,
		"-name", o.Name, "-nodefaults", "-no-user-config", "-display", "none", "-msg", "timestamp=on",
		"-machine", s.Machine, "-accel", s.Accelerator, "-cpu", s.CPU,
		"-smp", fmt.Sprint(m.VCPUs), "-m", fmt.Sprintf("size=%dM", m.MemoryBytes>>20),
		"-chardev", "socket,id=qmp,server=on,wait=off,path=" + comma(qmpSocket(o.Dir)),
		"-mon", "chardev=qmp,mode=control",
		"-chardev", "socket,id=" + consoleID + ",server=on,wait=off,path=" + comma(ConsoleSocket(o.Dir)) +
			",logappend=on,logfile=" + comma(ConsoleLog(o.Dir)),
		"-serial", "chardev:" + consoleID,
		"-device", "virtio-rng-pci",
	}
	if o.Incoming != 0 {
		// It waits for a state, and does not run by itself once it has that.
		args = append(args, "-S", "-incoming", "defer")
	}
	disks, err := qemuDisks(o, s)
	if err != nil {
		return nil, nil, err
	}
	args = append(args, disks...)
	args = append(args, qemuInterfaces(m)...)
	if s.Agent {
		args = append(args, agentChannel(o.Dir)...)
	}
	args = append(args, qemuBoot(m.Boot)...)
	return append(args, s.Arguments...), nil, nil
}

// comma writes a value into a list of QEMU's options, in which a comma is doubled.
func comma(value string) string { return strings.ReplaceAll(value, ",", ",,") }

// qemuDisks returns the disks: first the image that is only read, then the volumes in the guest's order.
func qemuDisks(o Order, s qemuSettings) ([]string, error) {
	var args []string
	boot := o.Machine.Boot
	if boot == nil {
		boot = &guest.Boot{}
	}
	if boot.RootImage != "" {
		args = qemuDisk(args, boot, map[string]any{"driver": "raw", "node-name": "image", "read-only": true,
			"file": map[string]any{"driver": "file", "filename": boot.RootImage, "read-only": true}})
	}
	order, err := diskOrder(o.definition())
	if err != nil {
		return nil, err
	}
	for place, i := range order {
		node, err := qemuVolume(o.Volumes[i], place, s)
		if o.Incoming != 0 {
			node, err = placeholder(o.Volumes[i], place)
		}
		if err != nil {
			return nil, err
		}
		args = qemuDisk(args, boot, node)
	}
	return args, nil
}

// qemuVolume returns the block node of a volume that the guest sees at a place.
func qemuVolume(v Volume, place int, s qemuSettings) (map[string]any, error) {
	disk, err := nbdExport(v, s.ReconnectDelay)
	if err != nil {
		return nil, err
	}
	return map[string]any{"driver": "nbd", "node-name": volumeName(place),
		"server": map[string]string{"type": "unix", "path": disk.socket}, "export": disk.name,
		"reconnect-delay": disk.delay, "discard": "unmap"}, nil
}

func volumeName(place int) string { return fmt.Sprintf("volume%d", place) }

// qemuDisk adds one disk, the next that firmware looks for a boot loader on. Where there is a kernel, firmware is to
// look at no disk: QEMU gives the kernel the first place itself, and refuses a second one in it.
func qemuDisk(args []string, boot *guest.Boot, node map[string]any) []string {
	index := len(args) / 4
	device := map[string]any{"driver": "virtio-blk-pci", "id": fmt.Sprintf("disk%d", index),
		"drive": node["node-name"]}
	if boot.Kernel == "" {
		device["bootindex"] = index
	}
	return append(args, "-blockdev", oneLine(node), "-device", oneLine(device))
}

// oneLine writes the JSON form of an option, in which nothing has to be escaped.
func oneLine(value map[string]any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "" // texts, numbers and truth values can always be written
	}
	return string(text)
}

// export is a disk as QEMU connects with it.
type export struct {
	socket, name string
	delay        int // seconds that requests wait for it while it is away; 0: they fail, and it is not connected again
}

// nbdExport returns where a guest that connects again by itself, for delay seconds, finds its disk. By the bound name
// it finds that disk or none. Where there is only the plain one it would go on with whatever is there when it connects
// again, so then it must not.
func nbdExport(v Volume, delay int) (export, error) {
	address := v.BoundURL
	if address == "" {
		address, delay = v.URL, 0
	}
	u, err := url.Parse(address)
	if err != nil {
		return export{}, fmt.Errorf("volume %s: %w", v.Name, err)
	}
	e := export{socket: u.Query().Get("socket"), name: strings.TrimPrefix(u.Path, "/"), delay: delay}
	switch {
	case u.Scheme != "nbd+unix" || e.socket == "":
		return export{}, fmt.Errorf("volume %s: %q is no NBD export at a unix socket", v.Name, address)
	case e.name == "":
		return export{}, fmt.Errorf("volume %s: %q: its export has no name", v.Name, address)
	}
	return e, nil
}

func qemuInterfaces(m guest.Machine) []string {
	var args []string
	for i, n := range m.Interfaces {
		id := fmt.Sprintf("net%d", i)
		backend := "user,id=" + id
		if n.Bridge != "" {
			backend = "bridge,id=" + id + ",br=" + comma(n.Bridge)
		}
		// Without a boot ROM: guests start from their disks, and the file may be missing.
		args = append(args, "-netdev", backend, "-device", oneLine(map[string]any{"driver": "virtio-net-pci",
			"id": fmt.Sprintf("interface%d", i), "netdev": id, "mac": n.MAC, "romfile": ""}))
	}
	return args
}

func qemuBoot(b *guest.Boot) []string {
	var args []string
	if b == nil {
		return nil
	}
	for _, option := range []struct{ name, value string }{
		{"-bios", b.Firmware}, {"-kernel", b.Kernel}, {"-initrd", b.Initrd}, {"-append", b.CommandLine},
	} {
		if option.value != "" {
			args = append(args, option.name, option.value)
		}
	}
	return args
}
