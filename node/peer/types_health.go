package peer

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// NodeHealth is what a node says of itself in its heartbeat, besides its roles.
type NodeHealth struct {
	Build string      `json:"build,omitempty"` // of the daemon's program
	Cert  CertStatus  `json:"cert,omitzero"`
	Clock ClockStatus `json:"clock,omitzero"`
}

// CertStatus is the life of the node's certificate.
type CertStatus struct {
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Fault is what is wrong with the node's file of it, so that an older one is in use.
	Fault string `json:"fault,omitempty"`
}

// ClockStatus is what a node knows of its clock, from the answers to its heartbeats.
type ClockStatus struct {
	// Offset is by how much the node's clock is ahead of the leader's, to within Bound either way: half of
	// the round trip of the best exchange lately. Leader is whose clock it was held against, zero if none.
	Leader volume.NodeID `json:"leader,omitzero"`
	Offset time.Duration `json:"offset,omitempty"`
	Bound  time.Duration `json:"bound,omitempty"`
	// Step is by how much somebody last set the clock while the daemon ran, StepAge how long ago; zero if nobody.
	Step    time.Duration `json:"step,omitempty"`
	StepAge time.Duration `json:"step_age,omitempty"`
}

// DiskStatus is what a storage node knows of the disk below a store.
type DiskStatus struct {
	Device       string       `json:"device,omitempty"`        // sda, nvme0n1
	None         string       `json:"none,omitempty"`          // why no device is known
	FailedChecks uint64       `json:"failed_checks,omitempty"` // that ended with an I/O error, since the daemon's start
	KernelErrors uint64       `json:"kernel_errors,omitempty"` // that the kernel counted since then
	KernelCounts bool         `json:"kernel_counts,omitempty"` // it counts them for this device
	ReadMicros   int64        `json:"read_micros,omitempty"`   // median of the last check reads
	UsualMicros  int64        `json:"usual_micros,omitempty"`  // what they took before; zero = too young
	Smart        *SmartStatus `json:"smart,omitempty"`
	SmartNone    string       `json:"smart_none,omitempty"`  // why there is none
	SmartError   string       `json:"smart_error,omitempty"` // why it could not be read
}

// SmartStatus is what a drive says of itself.
type SmartStatus struct {
	Model        string    `json:"model,omitempty"`
	Failing      bool      `json:"failing,omitempty"` // it should be replaced now
	Faults       []string  `json:"faults,omitempty"`  // sentences, the worst first
	TemperatureC int       `json:"temperature_c,omitempty"`
	WearPercent  int       `json:"wear_percent,omitempty"`
	PowerOnHours int64     `json:"power_on_hours,omitempty"`
	At           time.Time `json:"at"`
}
