package raft

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

// driverExec is the only driver of version 1, whose settings have a field of their own. Which drivers there are and
// what they make of their settings is known to package domain: who proposes a definition asks it.
const driverExec = "exec"

// Check returns what is wrong with a definition, nil if nothing is. The volumes and hosts that it
// names need not exist before the domain starts.
func (d DomainSpec) Check() error {
	if err := volume.CheckName("domain", d.Name); err != nil {
		return err
	}
	if err := d.checkDriver(); err != nil {
		return fmt.Errorf("domain %s: %w", d.Name, err)
	}
	if len(d.Volumes) == 0 {
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

// checkDriver returns what is wrong with the driver's part of a definition, as far as coordinators know it.
func (d DomainSpec) checkDriver() error {
	if d.Driver != driverExec {
		switch {
		case volume.CheckName("driver", d.Driver) != nil:
			return volume.CheckName("driver", d.Driver)
		case d.Exec != nil:
			return fmt.Errorf("it has settings of the driver exec, but its driver is %s", d.Driver)
		case len(d.Settings) > SettingsBytesMax:
			return fmt.Errorf("the settings of its driver have %d bytes (at most %d)", len(d.Settings),
				SettingsBytesMax)
		case len(d.Settings) > 0 && d.Settings[0] != '{': // as a part of a command it is valid JSON
			return errors.New("the settings of its driver are no JSON object")
		}
		return nil
	}
	switch {
	case d.Exec == nil || len(d.Exec.Command) == 0 || d.Exec.Command[0] == "":
		return errors.New("the exec driver needs a command, as in exec: {command: [/usr/local/bin/guest]}")
	case slices.ContainsFunc(d.Exec.Command, func(arg string) bool { return strings.ContainsRune(arg, 0) }):
		return errors.New("an argument of its command holds a zero byte")
	case len(d.Settings) > 0:
		return errors.New("the settings of the exec driver stand below exec")
	}
	return nil
}

// Definition returns what a driver is told of the domain.
func (d DomainSpec) Definition() guest.Definition {
	out := guest.Definition{Name: d.Name, Driver: d.Driver, Machine: d.Machine, Settings: d.Settings}
	if d.Exec != nil {
		out.Settings = d.Exec.settings()
	}
	for _, v := range d.Volumes {
		out.Volumes = append(out.Volumes, guest.Volume{Name: v.Name, Device: v.Device})
	}
	return out
}

// uuid returns the UUID that a definition gives the guest, in small letters; "" if it gives none. It is the one setting
// of drivers that coordinators look at, whatever the driver: no two guests of a cluster may share it.
func (d DomainSpec) uuid() string {
	var s struct {
		UUID string `json:"uuid"`
	}
	if json.Unmarshal(d.Settings, &s) != nil {
		return "" // it has no settings, or what it has there is no UUID
	}
	return strings.ToLower(s.UUID)
}

// settings returns the settings of the exec driver in the form that those of all other drivers have.
func (e *ExecSpec) settings() json.RawMessage {
	text, err := json.Marshal(e)
	if err != nil {
		return nil // texts can always be written
	}
	return text
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
	d.Settings = slices.Clone(d.Settings)
	d.Machine = d.Machine.Clone()
	d.Volumes, d.Hosts = slices.Clone(d.Volumes), slices.Clone(d.Hosts)
	if len(d.Hosts) == 0 {
		d.Hosts = nil // so that "none given" has one form
	}
	return d
}
