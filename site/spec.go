package site

import (
	"slices"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/definition"
	"github.com/holdfast-storage/holdfast/domain/guest"
)

// SpecOf returns a definition as the API speaks of it.
func SpecOf(d definition.Definition) api.DomainSpec {
	s := api.DomainSpec{Name: d.Name, Driver: d.Driver, Volumes: []api.DomainVolume{}, Hosts: slices.Clone(d.Hosts),
		AntiAffinity: d.AntiAffinity, Machine: d.Machine, Policy: d.Policy}
	s.SetSettings(d.Settings)
	for _, v := range d.Volumes {
		s.Volumes = append(s.Volumes, api.DomainVolume{Name: v.Name, Device: v.Device})
	}
	if s.Hosts == nil {
		s.Hosts = []string{}
	}
	return s
}

// DefinitionOf is the reverse of SpecOf.
func DefinitionOf(s api.DomainSpec) definition.Definition {
	d := definition.Definition{Name: s.Name, Driver: s.Driver, Machine: s.Machine, Policy: s.Policy, Hosts: s.Hosts,
		AntiAffinity: s.AntiAffinity, Settings: s.AllSettings()}
	for _, v := range s.Volumes {
		d.Volumes = append(d.Volumes, guest.Volume{Name: v.Name, Device: v.Device})
	}
	return d
}
