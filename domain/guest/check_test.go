package guest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMachine_check(t *testing.T) {
	mac := func(list ...string) (m Machine) {
		for _, a := range list {
			m.Interfaces = append(m.Interfaces, Interface{MAC: a})
		}
		return m
	}
	bridge := func(name string) Machine {
		return Machine{Interfaces: []Interface{{MAC: "52:54:00:00:00:01", Bridge: name}}}
	}
	boot := func(b Boot) Machine { return Machine{Boot: &b} }
	for _, c := range []struct {
		machine Machine
		path    string // empty: nothing is wrong
	}{
		{Machine{}, ""}, {Machine{VCPUs: 1, MemoryBytes: MemoryMin}, ""}, {Machine{VCPUs: VCPUsMax + 1}, "vcpus"},
		{Machine{VCPUs: -1}, "vcpus"}, {Machine{MemoryBytes: 4096}, "memory"}, {Machine{MemoryBytes: -1}, "memory"},
		{Machine{MemoryBytes: MemoryMax + MemoryMin}, "memory"}, {Machine{MemoryBytes: MemoryMin + 1}, "memory"},
		{mac("52:54:00:00:00:01", "52:54:00:00:00:02"), ""}, {mac("52:54:00:00:00"), "interfaces[0].mac"},
		{mac("52:54:00:00:00:0a", "52:54:00:00:00:0A"), "interfaces[1].mac"}, {mac("x"), "interfaces[0].mac"},
		{mac("53:54:00:00:00:01"), "interfaces[0].mac"}, {mac("5254.0000.0001"), "interfaces[0].mac"},
		{mac("02:00:5e:10:00:00:00:01"), "interfaces[0].mac"}, {mac("52-54-00-00-00-01"), "interfaces[0].mac"},
		{Machine{Interfaces: make([]Interface, InterfacesMax+1)}, "interfaces"},
		{bridge("br0"), ""}, {bridge("br0,script=/x"), "interfaces[0].bridge"}, {bridge(".."), "interfaces[0].bridge"},
		{bridge(strings.Repeat("b", 16)), "interfaces[0].bridge"}, {bridge("a/b"), "interfaces[0].bridge"},
		{boot(Boot{}), ""}, {boot(Boot{Kernel: "/k", Initrd: "/i", CommandLine: "a", RootImage: "/r"}), ""},
		{boot(Boot{Firmware: "/f", RootImage: "/r"}), ""}, {boot(Boot{Firmware: "/f", Kernel: "/k"}), "boot.firmware"},
		{boot(Boot{Kernel: "k"}), "boot.kernel"}, {boot(Boot{Kernel: "/k", Initrd: "i"}), "boot.initrd"},
		{boot(Boot{Initrd: "/i"}), "boot.initrd"}, {boot(Boot{CommandLine: "x"}), "boot.command_line"},
		{boot(Boot{Kernel: "/k", CommandLine: "x\x00"}), "boot.command_line"},
		{boot(Boot{RootImage: "r"}), "boot.root_image"}, {boot(Boot{Firmware: "/f\x00"}), "boot.firmware"},
	} {
		requireFault(t, c.path, c.machine.Check(), c.machine)
	}
}

func TestPolicy_check(t *testing.T) {
	for _, c := range []struct {
		policy Policy
		path   string
	}{
		{Policy{}, ""},
		{Policy{Restart: RestartNever, Failover: FailoverManual, StopSeconds: 3600, StartOrder: -5}, ""},
		{Policy{Restart: RestartAlways, Failover: FailoverAutomatic}, ""}, {Policy{Restart: "x"}, "restart"},
		{Policy{Failover: "x"}, "failover"}, {Policy{StopSeconds: -1}, "stop_timeout"},
		{Policy{StopSeconds: 3601}, "stop_timeout"}, {Policy{StartOrder: StartOrderMax + 1}, "start_order"},
	} {
		requireFault(t, c.path, c.policy.Check(), c.policy)
	}
}

func TestDefinition_refuse(t *testing.T) {
	d := Definition{Driver: "x", Machine: Machine{VCPUs: 1, MemoryBytes: MemoryMin, Boot: &Boot{},
		Interfaces: []Interface{{}}}, Volumes: []Volume{{Name: "a"}, {Name: "b", Device: "vdb"}}}
	all := []string{"vcpus", "memory", "interfaces", "boot", "device"}
	require.NoError(t, d.Refuse(all...))
	for i, path := range []string{"vcpus", "memory", "interfaces", "boot", "volumes[1].device"} {
		able := append(append([]string{}, all[:i]...), all[i+1:]...)
		requireFault(t, path, d.Refuse(able...), able)
	}
}

func requireFault(t *testing.T, path string, err error, of any) {
	t.Helper()
	if path == "" {
		require.NoError(t, err, "%+v", of)
		return
	}
	var fault *Fault
	require.ErrorAs(t, err, &fault, "%+v", of)
	require.Equal(t, path, fault.Path, "%+v", of)
}

func TestMachine_cloneSharesNothing(t *testing.T) {
	m := Machine{Interfaces: []Interface{{MAC: "a"}}, Boot: &Boot{Kernel: "/k"}}
	c := m.Clone()
	require.Equal(t, m, c)
	c.Interfaces[0].MAC, c.Boot.Kernel = "b", "/l"
	require.Equal(t, "a", m.Interfaces[0].MAC)
	require.Equal(t, "/k", m.Boot.Kernel)
	require.Equal(t, Machine{}, Machine{Interfaces: []Interface{}}.Clone())
}
