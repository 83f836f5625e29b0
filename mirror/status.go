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
}

// LegStatus is one leg as the engine sees it.
type LegStatus struct {
	ID        volume.LegID
	State     LegState
	Connected bool
	Lossy     bool   // it lost its cache in this attachment and takes no I/O until it is copied
	Error     string // of the last session or command that failed; empty while it is in sync
	CopyDone  int64  // bytes looked at by the copy that brings it in sync
	CopyTotal int64  // zero when nothing is copied
}

// Stage is one timed step of an attach.
type Stage struct {
	Name string        // fenced, activated, configured, serving, first_read
	At   time.Duration // since Attach was called
}
