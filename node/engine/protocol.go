package engine

import (
	"path/filepath"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// ControlVersion is the version of the control socket's protocol. Daemon and engine may be of
// different builds (an upgrade leaves engines running), so both send it and refuse another.
const ControlVersion = 1

// ControlSocket returns the path of the control socket in a run directory.
func ControlSocket(runDir string) string { return filepath.Join(runDir, "control.sock") }

// NBDSocket returns the path of the export's socket in a run directory.
func NBDSocket(runDir string) string { return ExportSocket(runDir, volume.ExportNBD) }

// ExportSocket returns where an engine with this run directory has the unix socket of a kind of export, "" if the kind
// listens on a TCP address.
func ExportSocket(runDir string, kind volume.ExportKind) string {
	if !kind.UnixSocket() {
		return ""
	}
	return filepath.Join(runDir, string(kind)+".sock")
}

// Hello identifies an engine: the first thing it says on every control connection, before any
// request. The daemon adopts an engine by volume, epoch and attach id, never by pid.
type Hello struct {
	Version  int             `json:"version"`
	Volume   volume.ID       `json:"volume"`
	Epoch    volume.Epoch    `json:"epoch"`
	AttachID volume.AttachID `json:"attach_id"`
	PID      int             `json:"pid"`
}

// Verb says what a control request asks for.
type Verb string

// The verbs of the control socket.
const (
	VerbStatus  Verb = "status"  // answer: Status
	VerbGuard   Verb = "guard"   // the engine kills Guard's process when the grant is lost
	VerbUnguard Verb = "unguard" // it does not any more
	// VerbGuardKill is VerbGuard for a guest that does not end with its process: Guard has a command. An engine of an
	// earlier build does not know it, and says so, where it would pass the command over.
	VerbGuardKill Verb = "guard_kill"
	VerbMetrics   Verb = "metrics" // answer: Metrics; an engine of an earlier build does not know it
	VerbDetach    Verb = "detach"  // flush, detach cleanly, then end; answers when it has ended or failed

	// These are about a copy of the volume onto a clone of it, one at a time. An engine of an earlier build does not
	// know them.

	VerbCopy        Verb = "copy"         // begin that of Copy, or go on with it; repeated, it changes nothing
	VerbCopyHold    Verb = "copy_hold"    // hold the guest's changes back for Cut, for some seconds at most
	VerbCopyEnd     Verb = "copy_end"     // copy the rest for Cut, and let the guest go on: the clone is complete
	VerbCopyRelease Verb = "copy_release" // let the guest go on without that; the copy goes on
	VerbCopyStop    Verb = "copy_stop"    // end the copy of Cut's group
)

// CopyOrder tells an engine to copy its volume onto a clone.
type CopyOrder struct {
	Group  volume.UUID  `json:"group"`
	Volume volume.ID    `json:"volume"` // the clone
	Epoch  volume.Epoch `json:"epoch"`  // of the clone's attachment
	URL    string       `json:"url"`    // of the clone's export on a unix socket
	Rate   int64        `json:"rate,omitempty"`
}

// CopyCut names a copy, and a moment at which it is cut.
type CopyCut struct {
	Group volume.UUID `json:"group"`
	Cut   volume.UUID `json:"cut,omitzero"`
}

// Request is one request on a control connection: one JSON object, answered by one Response.
type Request struct {
	Verb  Verb       `json:"verb"`
	Guard *Guard     `json:"guard,omitempty"` // with VerbGuard, VerbGuardKill and VerbUnguard
	Copy  *CopyOrder `json:"copy,omitempty"`  // with VerbCopy
	Cut   *CopyCut   `json:"cut,omitempty"`   // with the other verbs of copies
}

// Response answers one Request.
type Response struct {
	Error  string             `json:"error,omitempty"` // empty when the request was done
	Status *peer.EngineStatus `json:"status,omitempty"`
	// Metrics are those of the engine in Prometheus's text form, each with a label volume.
	Metrics string `json:"metrics,omitempty"`
}

// Guard names the process of a domU. A pid alone may be reused, so the start time says which
// process is meant; the engine then holds it by a pidfd.
type Guard struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // clock ticks since boot, field 22 of /proc/PID/stat
	// Kill is a command that ends what is left of the guest once its process is killed, with VerbGuardKill. It is run
	// until it succeeds, in the engine's environment, and may be killed at any moment.
	Kill []string `json:"kill,omitempty"`
}
