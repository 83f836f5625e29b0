package api

import "encoding/json"

// DomainSpec is the definition of a guest.
type DomainSpec struct {
	Name    string         `json:"name" maxLength:"63"`
	Driver  string         `json:"driver" doc:"exec, or another one that the hosts have"`
	Exec    *ExecSpec      `json:"exec,omitempty"`
	Volumes []DomainVolume `json:"volumes"`
	Hosts   []string       `json:"hosts" doc:"node names, most preferred first; empty allows any host"`

	AntiAffinity string          `json:"anti_affinity,omitempty" doc:"group whose members are kept on different hosts"`
	Settings     json.RawMessage `json:"settings,omitempty" doc:"of a driver other than exec: an object of its fields"`
}

// ExecSpec is the setting of the exec driver.
type ExecSpec struct {
	Command []string `json:"command" minItems:"1" doc:"$NAME and ${NAME} stand for the driver's variables"`
}

// DomainVolume names a volume that a domain uses.
type DomainVolume struct {
	Name string `json:"name"`
}
