package domain

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

// xlConfigPath returns the file of a domain's configuration, as xl reads it.
func xlConfigPath(dir string) string { return filepath.Join(dir, "xl.cfg") }

// xlOwnKeys are what a configuration is given by the definition, so that no line of an operator may set it: who the
// domain is, that it is destroyed when it ends, and what else stands in the definition.
func xlOwnKeys() []string {
	return []string{"name", "uuid", "type", "builder", "memory", "maxmem", "vcpus", "maxvcpus", "kernel", "ramdisk",
		"cmdline", "root", "extra", "bootloader", "firmware", "firmware_override", "disk", "vif", "on_poweroff",
		"on_reboot", "on_crash", "on_watchdog", "on_soft_reset"}
}

// check returns the first thing that xl cannot make of a definition.
func (s xlSettings) check(d guest.Definition) error {
	boot := guest.Boot{}
	if d.Machine.Boot != nil {
		boot = *d.Machine.Boot
	}
	switch {
	case s.Bootloader != "" && (s.Type == "hvm" || boot.Kernel != ""):
		return guest.Faultf("xl.bootloader", "a guest of the type hvm, or with a kernel, needs none")
	case s.Type != "hvm" && boot.Firmware != "":
		return guest.Faultf("boot.firmware", "only a guest of xl's type hvm has firmware, this one is of the type %s",
			s.Type)
	case s.Type != "hvm" && boot.Kernel == "" && s.Bootloader == "":
		return guest.Faultf("boot.kernel", "a guest of xl's type %s needs a kernel, or xl: {bootloader: pygrub}",
			s.Type)
	}
	for _, text := range []struct{ field, value string }{
		{"boot.kernel", boot.Kernel}, {"boot.initrd", boot.Initrd}, {"boot.command_line", boot.CommandLine},
		{"boot.firmware", boot.Firmware}, {"xl.bootloader", s.Bootloader},
	} {
		if _, err := xlQuote(text.value); err != nil {
			return guest.Faultf(text.field, "%s", err)
		}
	}
	if strings.ContainsAny(boot.RootImage, "\"'\\\n") {
		return guest.Faultf("boot.root_image", "%q: xl takes no quotes and backslashes in it", boot.RootImage)
	}
	for i, n := range d.Machine.Interfaces {
		at := fmt.Sprintf("interfaces[%d].bridge", i)
		switch {
		case n.Bridge == "":
			return guest.Faultf(at, "Xen has no network behind the host's address: want the host's bridge")
		case strings.ContainsAny(n.Bridge, "\"'\\"):
			return guest.Faultf(at, "%q: xl takes no quotes and backslashes in it", n.Bridge)
		}
	}
	for i, line := range s.Lines {
		if err := checkXLLine(line); err != nil {
			return guest.Faultf(fmt.Sprintf("xl.lines[%d]", i), "%s", err)
		}
	}
	_, err := xlDevices(d)
	return err
}

// checkXLLine returns what is wrong with a line that an operator adds.
func checkXLLine(line string) error {
	key, value, found := strings.Cut(line, "=")
	key = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(key), "+"))
	odd := strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_") != ""
	switch {
	case strings.ContainsAny(line, "\n\r\x00"):
		return fmt.Errorf("%q: it has more than one line", line)
	case !found || key == "" || odd:
		return fmt.Errorf("%q: want KEY = VALUE, as in cpus = \"2-3\"", line)
	case slices.Contains(xlOwnKeys(), key):
		return fmt.Errorf("%s is set by the definition itself", key)
	}
	var quote rune
	for _, c := range value {
		switch {
		case quote != 0 && c == '\\':
			return fmt.Errorf("%q: a backslash in a text", line)
		case quote == 0 && (c == ';' || c == '#'):
			return fmt.Errorf("%q: it has %q outside of a text, behind which there is another line, or none", line, c)
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
	}
	if quote != 0 {
		return fmt.Errorf("%q: a text in it does not end", line)
	}
	return nil
}

// xlQuote writes a text so that xl reads it as it is.
func xlQuote(text string) (string, error) {
	switch {
	case strings.ContainsAny(text, "\\\n\r\x00"):
		return "", fmt.Errorf("%q: xl takes no backslashes and one line", text)
	case !strings.Contains(text, `"`):
		return `"` + text + `"`, nil
	case !strings.Contains(text, `'`):
		return `'` + text + `'`, nil
	}
	return "", fmt.Errorf("%q: xl takes one kind of quotes in a text, not both", text)
}

// xlDevices returns under which name the guest sees each of its volumes: what was asked for, or the first that is free.
func xlDevices(d guest.Definition) ([]string, error) {
	taken := make(map[string]string)
	if b := d.Machine.Boot; b != nil && b.RootImage != "" {
		taken[xlDevice(0)] = "the root image"
	}
	names := make([]string, len(d.Volumes))
	for i, v := range d.Volumes {
		at := fmt.Sprintf("volumes[%d].device", i)
		if v.Device == "" {
			continue
		}
		if letter, ok := strings.CutPrefix(v.Device, "xvd"); !ok || len(letter) != 1 || letter < "a" || letter > "z" {
			return nil, guest.Faultf(at, "%q: Xen's disks are xvda to xvdz", v.Device)
		}
		if other := taken[v.Device]; other != "" {
			return nil, guest.Faultf(at, "%s is %s", v.Device, other)
		}
		names[i], taken[v.Device] = v.Device, "that of volume "+v.Name+" too"
	}
	next := 0
	for i, v := range d.Volumes {
		for names[i] == "" {
			if next == xlDisksMax {
				return nil, guest.Faultf("volumes", "%d of them: Xen's disks are xvda to xvdz", len(d.Volumes))
			}
			if name := xlDevice(next); taken[name] == "" {
				names[i], taken[name] = name, v.Name
			}
			next++
		}
	}
	return names, nil
}

const xlDisksMax = 26

func xlDevice(place int) string { return "xvd" + string(rune('a'+place)) }

// config returns the text of the domain's configuration.
func (x xen) config() (string, error) {
	o, s := x.order, x.settings
	m := o.Machine
	if m.VCPUs == 0 {
		m.VCPUs = qemuVCPUs
	}
	if m.MemoryBytes == 0 {
		m.MemoryBytes = qemuMemory
	}
	boot := guest.Boot{}
	if m.Boot != nil {
		boot = *m.Boot
	}
	var out strings.Builder
	out.WriteString("# Made by holdfast for one run of the domain: changes are made by `holdfast domain define`.\n")
	for _, text := range []struct{ key, value string }{
		{"name", o.Name}, {"uuid", s.UUID}, {"type", s.Type}, {"kernel", boot.Kernel}, {"ramdisk", boot.Initrd},
		{"cmdline", boot.CommandLine}, {"bootloader", s.Bootloader}, {"firmware_override", boot.Firmware},
		{"on_poweroff", "destroy"}, {"on_reboot", "restart"}, {"on_crash", "destroy"}, {"on_watchdog", "destroy"},
	} {
		if text.value == "" {
			continue
		}
		quoted, err := xlQuote(text.value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", text.key, err)
		}
		fmt.Fprintf(&out, "%s = %s\n", text.key, quoted)
	}
	fmt.Fprintf(&out, "memory = %d\nvcpus = %d\n", m.MemoryBytes>>20, m.VCPUs)
	disks, err := x.disks()
	if err != nil {
		return "", err
	}
	writeXLList(&out, "disk", disks)
	var interfaces []string
	for _, n := range m.Interfaces {
		interfaces = append(interfaces, "mac="+n.MAC+",bridge="+n.Bridge)
	}
	writeXLList(&out, "vif", interfaces)
	if s.Type == "hvm" {
		out.WriteString("serial = \"pty\"\nvnc = 0\n")
	}
	for _, line := range s.Lines {
		out.WriteString(line + "\n")
	}
	return out.String(), nil
}

func writeXLList(out *strings.Builder, key string, items []string) {
	fmt.Fprintf(out, "%s = [", key)
	for _, item := range items {
		fmt.Fprintf(out, "\n  %q,", item) // without quotes and backslashes in it, so that it is xl's text as it is Go's
	}
	out.WriteString("\n]\n")
}

// disks returns the configuration's disks. The target comes last: all that follows it is its name.
func (x xen) disks() ([]string, error) {
	devices, err := xlDevices(x.order.definition())
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(x.order.Dir, "\"'\\\n") {
		return nil, fmt.Errorf("%q: xl takes no quotes and backslashes in the path of a disk", x.order.Dir)
	}
	var all []string
	add := func(device, access, target string) {
		all = append(all, "format=raw, vdev="+device+", access="+access+", backendtype=qdisk, target="+target)
	}
	if b := x.order.Machine.Boot; b != nil && b.RootImage != "" {
		add(xlDevice(0), "ro", b.RootImage)
	}
	for i := range x.order.Volumes {
		add(devices[i], "rw", xlDiskPath(x.order.Dir, i))
	}
	return all, nil
}

// writeConfig writes the file, for nobody else to read.
func (x xen) writeConfig() error {
	text, err := x.config()
	if err != nil {
		return err
	}
	path := xlConfigPath(x.order.Dir)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) { // so that its mode is the one below
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
