package raft

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// OperationsMax is how many operations the state keeps, those that run included.
const OperationsMax = 200

// The kinds of operations.
const (
	OperationFailover = "failover" // of a domain, with its volumes
	OperationTakeover = "takeover" // of a volume that was attached without a domain
	// OperationMigration is of a domain whose guest runs on: its host sends its memory to another one.
	OperationMigration = "migration"
)

// OperationResult is how an operation ended.
type OperationResult string

// The results of operations.
const (
	OperationRuns       OperationResult = ""           // it goes on
	OperationDone       OperationResult = "done"       // the guest runs; a volume alone serves
	OperationSuperseded OperationResult = "superseded" // another move of the same object came first
	OperationCancelled  OperationResult = "cancelled"  // its object was stopped, detached or deleted
	OperationAborted    OperationResult = "aborted"    // a migration: the guest stayed where it was
)

// How the wait for an older host's reads was honoured.
const (
	TReadSkipped = "skipped" // every leg that it may have read was fenced
	TReadWaited  = "waited"  // 1.25·T_read passed on the leader's clock
)

// The stages of an operation, in their order. All but the first two come from the engine and the host.
const (
	StageSilent     = "silent"     // the old host was heard last; before the decision
	StageGranted    = "granted"    // the decision is committed
	StageSwitched   = "switched"   // of a migration: the guest is over on the old host, for good
	StageFenced     = "fenced"     // the engine has logged in to the legs that can be reached
	StageActivated  = "activated"  // the epoch is active
	StageConfigured = "configured" // its configuration is durable on every leg in sync
	StageServing    = "serving"    // the export answers
	StageGuest      = "guest"      // the guest was started
	StageFirstRead  = "first_read" // its first read was answered
)

// Operation is one failover: the way of a domain, or of a volume without one, from a host to another.
// It begins in the entry that grants the volumes, so that whoever leads next knows of it.
type Operation struct {
	ID     uint64 `json:"id"` // counts all operations
	Kind   string `json:"kind"`
	Object string `json:"object"` // "domain/web1", "volume/root"
	Reason string `json:"reason"`
	From   string `json:"from"` // names of nodes, as they were then
	To     string `json:"to"`
	Domain string `json:"domain,omitempty"` // empty for a volume alone
	Run    uint64 `json:"run,omitempty"`    // of the domain, that it brings about
	// Request is that of a migration, see BeginMigration; zero for what is no migration.
	Request volume.UUID `json:"request,omitzero"`
	// Grants are the volumes that change hands.
	Grants []OperationGrant `json:"grants"`
	// At is when it was decided, by the clock of the leader that did.
	At      time.Time        `json:"at"`
	Stages  []OperationStage `json:"stages"` // in time; complete once it has ended
	Result  OperationResult  `json:"result,omitempty"`
	Message string           `json:"message,omitempty"`
}

// OperationGrant is a volume that an operation takes over.
type OperationGrant struct {
	Volume volume.ID    `json:"volume"`
	Name   string       `json:"name"`
	Epoch  volume.Epoch `json:"epoch"` // that it grants
	// TRead says how the wait for the older host's reads was honoured; empty until the epoch is active.
	TRead string `json:"t_read,omitempty"`
}

// OperationStage is one step of an operation.
type OperationStage struct {
	Name string        `json:"name"`
	At   time.Duration `json:"at"` // since the decision; negative before it
}

// EndOperation says that an operation is done, with the times of its stages. Repeated, or after another
// end, it changes nothing.
type EndOperation struct {
	ID      uint64           `json:"id"`
	Stages  []OperationStage `json:"stages"`
	Message string           `json:"message,omitempty"`
}

// Running reports whether the operation goes on.
func (o *Operation) Running() bool { return o.Result == OperationRuns }

// Stage returns when a stage was reached, false if that is not known.
func (o *Operation) Stage(name string) (time.Duration, bool) { return StageAt(o.Stages, name) }

// StageAt returns when a stage was reached, false if it is not among the stages.
func StageAt(stages []OperationStage, name string) (time.Duration, bool) {
	i := slices.IndexFunc(stages, func(s OperationStage) bool { return s.Name == name })
	if i < 0 {
		return 0, false
	}
	return stages[i].At, true
}

// OperationByID returns an operation, nil if none of this number is remembered.
func (s *State) OperationByID(id uint64) *Operation {
	for _, o := range s.Operations {
		if o.ID == id {
			return o
		}
	}
	return nil
}

// OperationOf returns the operation that runs on an object, nil if none does.
func (s *State) OperationOf(object string) *Operation {
	for _, o := range s.Operations {
		if o.Object == object && o.Running() {
			return o
		}
	}
	return nil
}
