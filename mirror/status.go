package mirror

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// State is what an engine does.
type State string

// The states of an engine.
const (
	StateConnecting State = "connecting" // fencing legs, waiting for Activate and CONFIG
	StateServing    State = "serving"    // requests are answered
	StateHeld       State = "held"       // serving, but some answers wait for a coordinator or a leg
	StateDetaching  State = "detaching"  // draining, flushing, closing the legs
	StateDetached   State = "detached"   // the epoch is given back
	StateStopped    State = "stopped"    // over for good; Reason says why
)

// Status is an engine's view of its volume, for heartbeats and health.
type Status struct {
	State  State
	Reason string // why it is held, waits or was stopped; empty when all is well
	CfgVer volume.CfgVer
	Legs   []LegStatus
	Stages []Stage // milestones of the attach

	Unreadable int64 // requests of the guest that ended with a medium error: no leg in sync could read
	ScrubID    uint64
	ScrubDone  int64 // bytes below this were looked at
	ScrubTotal int64 // zero when no scrub is under way
}

// LegStatus is one leg as the engine sees it.
type LegStatus struct {
	ID        volume.LegID
	State     LegState
	Connected bool
	Lossy     bool   // it lost its cache in this attachment and takes no I/O until it is copied
	Error     string // of the last session or command that failed; empty while it is in sync
	SetBack   bool   // it showed an older state in this attachment and is copied in full
	CopyDone  int64  // bytes looked at by the copy that brings it in sync
	CopyTotal int64  // zero when nothing is copied

	// RejoinIn is for how long the leg may not join yet, because it failed before; zero if it may.
	RejoinIn time.Duration
	// Lag is how much of Timing.SlowLeg the leg has used up by keeping others waiting; it leaks away.
	Lag time.Duration

	MediumErrors int64 // reads that it answered with a medium error, and bad blocks that a scrub found
	Healed       int64 // blocks that were rewritten from another leg and read back
}

// Stage is one timed step of an attach.
type Stage struct {
	Name string        // fenced, activated, configured, serving, first_read
	At   time.Duration // since Attach was called
}
