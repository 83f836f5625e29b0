package definition

import (
	"encoding/json"
	"math"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

// file is a definition as it stands in a file, without the settings of its driver.
type file struct {
	Name         string      `yaml:"name"`
	Driver       string      `yaml:"driver"`
	VCPUs        *int        `yaml:"vcpus,omitempty"`
	Memory       string      `yaml:"memory,omitempty"`
	Interfaces   []netDevice `yaml:"interfaces,omitempty"`
	Boot         *boot       `yaml:"boot,omitempty"`
	Volumes      []disk      `yaml:"volumes"`
	Hosts        []string    `yaml:"hosts,omitempty,flow"`
	AntiAffinity string      `yaml:"anti_affinity,omitempty"`
	StartOrder   int         `yaml:"start_order,omitempty"`
	Restart      string      `yaml:"restart,omitempty"`
	Failover     string      `yaml:"failover,omitempty"`
	StopTimeout  string      `yaml:"stop_timeout,omitempty"`
}

type netDevice struct {
	MAC    string `yaml:"mac"`
	Bridge string `yaml:"bridge,omitempty"`
}

type boot struct {
	Kernel      string `yaml:"kernel,omitempty"`
	Initrd      string `yaml:"initrd,omitempty"`
	CommandLine string `yaml:"command_line,omitempty"`
	RootImage   string `yaml:"root_image,omitempty"`
	Firmware    string `yaml:"firmware,omitempty"`
}

type disk struct {
	Name   string `yaml:"name"`
	Device string `yaml:"device,omitempty"`
}

// definition returns what the file says, in the words of guests. What is wrong is a *guest.Fault.
func (f file) definition(settings json.RawMessage) (Definition, error) {
	d := Definition{Name: f.Name, Driver: f.Driver, Hosts: f.Hosts, AntiAffinity: f.AntiAffinity, Settings: settings}
	d.Policy = guest.Policy{StartOrder: f.StartOrder, Restart: guest.Restart(f.Restart),
		Failover: guest.Failover(f.Failover)}
	for _, v := range f.Volumes {
		d.Volumes = append(d.Volumes, guest.Volume{Name: v.Name, Device: v.Device})
	}
	for _, n := range f.Interfaces {
		d.Machine.Interfaces = append(d.Machine.Interfaces, guest.Interface{MAC: n.MAC, Bridge: n.Bridge})
	}
	if f.Boot != nil {
		b := guest.Boot(*f.Boot)
		d.Machine.Boot = &b
	}
	if f.VCPUs != nil {
		if d.Machine.VCPUs = *f.VCPUs; d.Machine.VCPUs < 1 {
			return d, guest.Faultf("vcpus", "%d: want 1 to %d", d.Machine.VCPUs, guest.VCPUsMax)
		}
	}
	if f.Memory != "" {
		bytes, err := volume.ParseSize(f.Memory)
		if err != nil {
			return d, guest.Faultf("memory", "%v", err)
		}
		d.Machine.MemoryBytes = bytes
	}
	if f.StopTimeout != "" {
		seconds, err := wholeSeconds(f.StopTimeout)
		if err != nil {
			return d, err
		}
		d.Policy.StopSeconds = seconds
	}
	return d, nil
}

func wholeSeconds(text string) (int, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d%time.Second != 0 || d.Seconds() > math.MaxInt32 {
		return 0, guest.Faultf("stop_timeout", "%q: want whole seconds, as in 30s or 2m", text)
	}
	return int(d / time.Second), nil
}

// fileOf is the reverse of definition.
func fileOf(d Definition) file {
	f := file{Name: d.Name, Driver: d.Driver, Hosts: d.Hosts, AntiAffinity: d.AntiAffinity,
		StartOrder: d.Policy.StartOrder, Restart: string(d.Policy.Restart), Failover: string(d.Policy.Failover)}
	for _, v := range d.Volumes {
		f.Volumes = append(f.Volumes, disk{Name: v.Name, Device: v.Device})
	}
	for _, n := range d.Machine.Interfaces {
		f.Interfaces = append(f.Interfaces, netDevice{MAC: n.MAC, Bridge: n.Bridge})
	}
	if d.Machine.Boot != nil {
		b := boot(*d.Machine.Boot)
		f.Boot = &b
	}
	if d.Machine.VCPUs != 0 {
		f.VCPUs = &d.Machine.VCPUs
	}
	if d.Machine.MemoryBytes != 0 {
		f.Memory = volume.SizeText(d.Machine.MemoryBytes)
	}
	if d.Policy.StopSeconds != 0 {
		f.StopTimeout = d.Policy.Stop().String()
	}
	return f
}
