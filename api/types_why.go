package api

import "time"

// Why is one link of a chain of causes: how an object is, and below it why. The chain ends at what has no cause
// that the coordinators know of.
type Why struct {
	Object   string     `json:"object" doc:"volume/web1, leg/<id>, node/n2, domain/web1, engine/web1 or cluster"`
	Status   Status     `json:"status" enum:"healthy,degraded,at_risk,down,no_quorum"`
	Says     string     `json:"says" doc:"a sentence: how it is"`
	Since    *time.Time `json:"since,omitempty" doc:"absent if it is not known"`
	Progress float64    `json:"progress,omitempty" doc:"0 to 1, of a repair that runs"`
	Timers   []WhyTimer `json:"timers,omitempty" doc:"the clocks that run for it, soonest first"`
	Next     string     `json:"next,omitempty" doc:"what happens next by itself"`
	Do       []string   `json:"do,omitempty" doc:"what an operator can do"`
	Last     *Event     `json:"last_event,omitempty" doc:"the last event about it"`
	Because  []Why      `json:"because,omitempty"`
}

// WhyTimer is a clock that runs.
type WhyTimer struct {
	What        string  `json:"what" doc:"what it measures"`
	LeftSeconds float64 `json:"left_seconds" doc:"until it ends"`
	Then        string  `json:"then" doc:"what follows"`
}
