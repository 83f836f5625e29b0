package guest

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// The bounds of what a definition may ask for: beyond them it is a slip of the hand.
const (
	VCPUsMax      = 1024
	MemoryMin     = 1 << 20
	MemoryMax     = 64 << 40
	InterfacesMax = 16
	StopMax       = time.Hour
	StartOrderMax = 1_000_000
	bridgeNameMax = 15 // IFNAMSIZ - 1
	macBytes      = 6
)

// Check returns the first thing that is wrong with a machine whatever driver is to make it, as a *Fault.
func (m Machine) Check() error {
	switch {
	case m.VCPUs < 0 || m.VCPUs > VCPUsMax:
		return Faultf("vcpus", "%d: want 1 to %d", m.VCPUs, VCPUsMax)
	case m.MemoryBytes != 0 && (m.MemoryBytes < MemoryMin || m.MemoryBytes > MemoryMax):
		return Faultf("memory", "%d bytes: want 1M to 64T", m.MemoryBytes)
	case m.MemoryBytes%MemoryMin != 0:
		return Faultf("memory", "%d bytes: want a multiple of 1M", m.MemoryBytes)
	case len(m.Interfaces) > InterfacesMax:
		return Faultf("interfaces", "%d of them (at most %d)", len(m.Interfaces), InterfacesMax)
	}
	owner := make(map[string]int)
	for i, n := range m.Interfaces {
		at := fmt.Sprintf("interfaces[%d]", i)
		if err := n.check(at); err != nil {
			return err
		}
		mac := strings.ToLower(n.MAC)
		if other, taken := owner[mac]; taken {
			return Faultf(at+".mac", "%s is that of interface %d too", n.MAC, other+1)
		}
		owner[mac] = i
	}
	if m.Boot != nil {
		return m.Boot.check()
	}
	return nil
}

func (n Interface) check(at string) error {
	mac, err := net.ParseMAC(n.MAC)
	switch {
	case err != nil || len(mac) != macBytes || strings.Count(n.MAC, ":") != macBytes-1:
		return Faultf(at+".mac", "%q: want six bytes, as in 52:54:00:12:34:56", n.MAC)
	case mac[0]&1 != 0:
		return Faultf(at+".mac", "%s is a group's address: its first byte must be even", n.MAC)
	case len(n.Bridge) > bridgeNameMax, strings.ContainsAny(n.Bridge, "/ \t\n\x00,"), n.Bridge == ".",
		n.Bridge == "..":
		return Faultf(at+".bridge", "%q is no name of a network interface", n.Bridge)
	}
	return nil
}

func (b Boot) check() error {
	for _, f := range b.files() {
		if err := checkFile(*f.file); err != nil {
			return Faultf("boot."+f.field, "%v", err)
		}
	}
	switch {
	case strings.ContainsRune(b.CommandLine, 0):
		return Faultf("boot.command_line", "it holds a zero byte")
	case b.Kernel != "" && b.Firmware != "":
		return Faultf("boot.firmware", "a guest boots from a kernel or by firmware, not both")
	case b.Kernel == "" && b.Initrd != "":
		return Faultf("boot.initrd", "an initrd needs a kernel")
	case b.Kernel == "" && b.CommandLine != "":
		return Faultf("boot.command_line", "a command line needs a kernel")
	}
	return nil
}

// checkFile returns what is wrong with a file of Boot, which may be left out.
func checkFile(file string) error {
	if text, is := strings.CutPrefix(file, imageScheme); is {
		_, err := ParseImage(text)
		return err
	}
	if file != "" && (!filepath.IsAbs(file) || strings.ContainsRune(file, 0)) {
		return Faultf("", "%q: want an absolute path of a file on the host, or an image of the cluster, as in "+
			"image:debian@3", file)
	}
	return nil
}

// Check returns the first thing that is wrong with a policy, as a *Fault.
func (p Policy) Check() error {
	switch {
	case p.Restart != "" && p.Restart != RestartAlways && p.Restart != RestartNever:
		return Faultf("restart", "%q: want %s or %s", p.Restart, RestartAlways, RestartNever)
	case p.Failover != "" && p.Failover != FailoverAutomatic && p.Failover != FailoverManual:
		return Faultf("failover", "%q: want %s or %s", p.Failover, FailoverAutomatic, FailoverManual)
	case p.StopSeconds < 0 || p.Stop() > StopMax:
		return Faultf("stop_timeout", "%d s: want 1s to %s", p.StopSeconds, StopMax)
	case p.StartOrder < -StartOrderMax || p.StartOrder > StartOrderMax:
		return Faultf("start_order", "%d: want %d to %d", p.StartOrder, -StartOrderMax, StartOrderMax)
	}
	return nil
}

// Stop returns how long the guest may take to end, zero if its definition does not say.
func (p Policy) Stop() time.Duration { return time.Duration(p.StopSeconds) * time.Second }

// Refuse returns a fault for the first field of the machine, and of how the guest sees its volumes, that is set and
// not among those that a driver can make something of.
func (d Definition) Refuse(can ...string) error {
	fields := []struct {
		name string
		set  bool
	}{
		{"vcpus", d.Machine.VCPUs != 0}, {"memory", d.Machine.MemoryBytes != 0},
		{"interfaces", len(d.Machine.Interfaces) > 0}, {"boot", d.Machine.Boot != nil},
	}
	able := make(map[string]bool)
	for _, name := range can {
		able[name] = true
	}
	for _, f := range fields {
		if f.set && !able[f.name] {
			return Faultf(f.name, "the driver %s can do nothing with it: leave it out, or take another driver",
				d.Driver)
		}
	}
	for i, v := range d.Volumes {
		if v.Device != "" && !able["device"] {
			return Faultf(fmt.Sprintf("volumes[%d].device", i),
				"the driver %s can do nothing with it: leave it out, or take another driver", d.Driver)
		}
	}
	return nil
}
