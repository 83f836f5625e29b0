package api

import (
	"encoding/json"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

// DomainSpec is the definition of a guest.
type DomainSpec struct {
	Name    string         `json:"name" maxLength:"63"`
	Driver  string         `json:"driver" doc:"exec, or another one that the hosts have"`
	Exec    *ExecSpec      `json:"exec,omitempty"`
	Volumes []DomainVolume `json:"volumes"`
	Hosts   []string       `json:"hosts" doc:"node names, most preferred first; empty allows any host"`

	AntiAffinity string          `json:"anti_affinity,omitempty" doc:"group whose members are kept on different hosts"`
	Settings     json.RawMessage `json:"settings,omitempty" doc:"of a driver other than exec: an object of its fields"`

	guest.Machine
	guest.Policy
}

// ExecSpec is the setting of the exec driver.
type ExecSpec struct {
	Command []string `json:"command" minItems:"1" doc:"$NAME and ${NAME} stand for the driver's variables"`
}

// DomainVolume names a volume that a domain uses.
type DomainVolume struct {
	Name   string `json:"name"`
	Device string `json:"device,omitempty" doc:"under which the guest sees it, as in vda"`
}

// AllSettings returns the settings of the spec's driver, whichever it is, as one JSON object; empty if there are none.
func (s DomainSpec) AllSettings() json.RawMessage {
	if s.Exec == nil {
		return s.Settings
	}
	text, err := json.Marshal(s.Exec)
	if err != nil {
		return nil // texts can always be written
	}
	return text
}

// SetSettings is the reverse: those of the exec driver stand in a field of their own, as they always did.
func (s *DomainSpec) SetSettings(settings json.RawMessage) {
	s.Exec, s.Settings = nil, settings
	var exec ExecSpec
	if s.Driver == "exec" && json.Unmarshal(settings, &exec) == nil {
		s.Exec, s.Settings = &exec, nil
	}
}
