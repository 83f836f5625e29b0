package api

import "time"

// The states of a failover that ended without being done.
const (
	OperationSuperseded = "superseded" // another move of the same object came first
	OperationCancelled  = "cancelled"  // its object was stopped or detached
	OperationAborted    = "aborted"    // a migration: the guest stayed where it was
)

// Failover is what an operation of the verbs failover, takeover and migration has beside what all have. The stages are
// counted from the decision: silent (the old host was heard last, negative), granted, switched (of a migration: the
// guest is over on the old host), fenced, activated, configured, serving, guest, first_read.
type Failover struct {
	From      string           `json:"from"`
	To        string           `json:"to"`
	Reason    string           `json:"reason"`
	StartedAt time.Time        `json:"started_at" doc:"when it was decided, by the leader's clock"`
	Volumes   []FailoverVolume `json:"volumes"`
	Stages    []Stage          `json:"stages" doc:"those that were reached, in time, from the decision"`
	Waits     string           `json:"waits,omitempty" doc:"what it waits for, with the timer that runs"`
	// TotalSeconds counts from the old host's last heartbeat, or from the decision if that was not silent.
	TotalSeconds float64 `json:"total_seconds" doc:"to the last stage, from the old host's last word if it was silent"`
}

// FailoverVolume is one volume that changes hands.
type FailoverVolume struct {
	Name  string `json:"name"`
	Epoch uint64 `json:"epoch" doc:"that it is granted"`
	TRead string `json:"t_read,omitempty" doc:"skipped (all legs were fenced), waited (1.25 T_read), empty: not yet"`
}
