package coordinator

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/raft"
)

// definitionOf returns a definition as the coordinators keep it, if its driver takes it. The driver is asked here,
// before a definition is proposed, and not when it is applied: what a driver takes may change with a release, what
// an entry of the log does may not.
func definitionOf(spec api.DomainSpec) (raft.DomainSpec, error) {
	definition := raft.DomainSpec{Name: spec.Name, Driver: spec.Driver, Hosts: slices.Clone(spec.Hosts),
		AntiAffinity: spec.AntiAffinity, Machine: spec.Machine.Clone(), Policy: spec.Policy}
	if spec.Exec != nil {
		definition.Exec = &raft.ExecSpec{Command: slices.Clone(spec.Exec.Command)}
	}
	if text := bytes.TrimSpace(spec.Settings); len(text) > 0 && !bytes.Equal(text, []byte("null")) {
		var one bytes.Buffer // in one form, so that the same definition again changes nothing
		if err := json.Compact(&one, text); err != nil {
			return raft.DomainSpec{}, api.Errorf(api.CodeInvalid, "domain/"+spec.Name, "", "domain %s: settings: %v",
				spec.Name, err)
		}
		definition.Settings = one.Bytes()
	}
	for _, used := range spec.Volumes {
		definition.Volumes = append(definition.Volumes, raft.DomainVolume{Name: used.Name, Device: used.Device})
	}
	err := definition.Check()
	if err == nil {
		err = definition.Policy.Check()
	}
	if err == nil {
		err = domain.Check(definition.Definition())
	}
	if err != nil {
		return raft.DomainSpec{}, api.Errorf(api.CodeInvalid, "domain/"+spec.Name, "holdfast domain define --help",
			"%s", domain.Named(spec.Name, err))
	}
	return definition, nil
}

// showDefinition returns a definition as the API speaks of it.
func showDefinition(d raft.DomainSpec) api.DomainSpec {
	spec := api.DomainSpec{Name: d.Name, Driver: d.Driver, Volumes: []api.DomainVolume{},
		Hosts: append([]string{}, d.Hosts...), AntiAffinity: d.AntiAffinity, Settings: slices.Clone(d.Settings),
		Machine: d.Machine.Clone(), Policy: d.Policy}
	if d.Exec != nil {
		spec.Exec = &api.ExecSpec{Command: slices.Clone(d.Exec.Command)}
	}
	for _, used := range d.Volumes {
		spec.Volumes = append(spec.Volumes, api.DomainVolume{Name: used.Name, Device: used.Device})
	}
	return spec
}
