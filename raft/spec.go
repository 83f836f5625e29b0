package raft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// DriverExec is the driver that runs a command.
const DriverExec = "exec"

// Check returns what is wrong with a definition, nil if nothing is. The volumes and hosts that it
// names need not exist before the domain starts.
func (d DomainSpec) Check() error {
	if err := volume.CheckName("domain", d.Name); err != nil {
		return err
	}
	switch {
	case d.Driver != DriverExec:
		return fmt.Errorf("domain %s: driver %q is unknown (exec)", d.Name, d.Driver)
	case d.Exec == nil || len(d.Exec.Command) == 0 || d.Exec.Command[0] == "":
		return fmt.Errorf("domain %s: the exec driver needs a command, "+
			"as in exec: {command: [/usr/local/bin/guest]}", d.Name)
	case slices.ContainsFunc(d.Exec.Command, func(arg string) bool { return strings.ContainsRune(arg, 0) }):
		return fmt.Errorf("domain %s: an argument of its command holds a zero byte", d.Name)
	case len(d.Volumes) == 0:
		return fmt.Errorf("domain %s: it needs a volume: "+
			"without one nothing keeps two copies of it from running", d.Name)
	}
	if d.AntiAffinity != "" {
		if err := volume.CheckName("anti_affinity group", d.AntiAffinity); err != nil {
			return fmt.Errorf("domain %s: %w", d.Name, err)
		}
	}
	variables := make(map[string]string)
	for _, v := range d.Volumes {
		if err := volume.CheckName("volume", v.Name); err != nil {
			return fmt.Errorf("domain %s: %w", d.Name, err)
		}
		if other, ok := variables[v.envName()]; ok {
			return fmt.Errorf("domain %s: volumes %s and %s share the variable %s", d.Name, other, v.Name, v.envName())
		}
		variables[v.envName()] = v.Name
	}
	for i, host := range d.Hosts {
		if err := volume.CheckName("host", host); err != nil {
			return fmt.Errorf("domain %s: %w", d.Name, err)
		}
		if slices.Contains(d.Hosts[:i], host) {
			return fmt.Errorf("domain %s: host %s is listed twice", d.Name, host)
		}
	}
	return nil
}

// envName returns the name of the environment variable in which a guest finds the volume's URL: its
// name in capitals, other characters as '_'. Two volumes of one domain must not share it.
func (v DomainVolume) envName() string {
	name := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(v.Name))
	return "HOLDFAST_VOLUME_" + name + "_URL"
}

// clone returns a copy that shares nothing with d.
func (d DomainSpec) clone() DomainSpec {
	if d.Exec != nil {
		d.Exec = &ExecSpec{Command: slices.Clone(d.Exec.Command)}
	}
	d.Volumes, d.Hosts = slices.Clone(d.Volumes), slices.Clone(d.Hosts)
	if len(d.Hosts) == 0 {
		d.Hosts = nil // so that "none given" has one form
	}
	return d
}
