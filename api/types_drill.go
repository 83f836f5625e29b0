package api

import "time"

// The states of a drill beside OperationRunning.
const (
	DrillOK     = "ok"     // the guest came up and every check held, in the time that is promised
	DrillSlow   = "slow"   // likewise, but later than is promised
	DrillFailed = "failed" // the guest did not come up, or a check did not hold
)

// DrillDomain asks for a drill that moves a guest itself.
type DrillDomain struct {
	To   string `json:"to,omitempty" doc:"host; empty chooses the next of its hosts that lives"`
	Back bool   `json:"back,omitempty" doc:"move it back to its host in the end"`
	// Request is chosen by the caller, so that a request repeated after a lost answer is one drill.
	Request string `json:"request,omitempty" doc:"a fresh UUID; chosen by the server if empty"`
}

// Drill is one fire drill, with what it showed.
type Drill struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind" doc:"real: the guest itself was moved"`
	Object    string     `json:"object" doc:"domain/web1"`
	State     string     `json:"state" enum:"running,ok,slow,failed"`
	Message   string     `json:"message,omitempty" doc:"what failed, or was later than is promised"`
	Waits     string     `json:"waits,omitempty" doc:"what it waits for while it runs"`
	Back      bool       `json:"back" doc:"the guest is moved back in the end"`
	StartedAt time.Time  `json:"started_at" doc:"by the leader's clock"`
	EndedAt   *time.Time `json:"ended_at" doc:"null while it runs"`
	Volumes   []string   `json:"volumes"`
	// Moves are one, or two if the guest was moved back.
	Moves      []DrillMove  `json:"moves"`
	Checks     []DrillCheck `json:"checks"`
	NotChecked []string     `json:"not_checked" doc:"what no drill of this kind can tell"`
}

// DrillMove is one failover of a drill. Its stages count from the decision.
type DrillMove struct {
	Operation string  `json:"operation"`
	From      string  `json:"from"`
	To        string  `json:"to"`
	State     string  `json:"state" doc:"running, done, superseded, cancelled"`
	Waited    bool    `json:"t_read_waited" doc:"a leg was not fenced, so 1.25 T_read was waited"`
	Stages    []Stage `json:"stages" doc:"granted, fenced, activated, configured, serving, guest, first_read"`
	// FirstReadSeconds is 0 when there was none.
	FirstReadSeconds float64 `json:"first_read_seconds" doc:"from the decision to the first read of the guest"`
	BoundSeconds     float64 `json:"bound_seconds" doc:"what is promised for that"`
	// TotalSeconds is what a failover of a dead host would have taken.
	TotalSeconds      float64 `json:"total_seconds" doc:"with the time after which a silent host counts as dead"`
	TotalBoundSeconds float64 `json:"total_bound_seconds" doc:"what is promised for that"`
}

// DrillCheck is one thing that a drill looked at.
type DrillCheck struct {
	Name   string `json:"name" doc:"guest, first_read, old_host, configuration, no_loss, legs"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// LastDrill sums up the latest drill of an object.
type LastDrill struct {
	ID               string    `json:"id"`
	Kind             string    `json:"kind"`
	State            string    `json:"state" enum:"running,ok,slow,failed"`
	StartedAt        time.Time `json:"started_at"`
	From             string    `json:"from"`
	To               string    `json:"to"`
	FirstReadSeconds float64   `json:"first_read_seconds" doc:"from the decision; 0 when there was none"`
	// WorkedAt is of the latest that was ok or slow, which may be an earlier one.
	WorkedAt *time.Time `json:"worked_at" doc:"when a drill last showed that it works, null if none did"`
}
