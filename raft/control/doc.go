// Package control holds what the leading coordinator decides by itself: where a domain goes when
// its host falls silent, which leg replaces one that is lost, who rebuilds a detached volume, and
// what health says.
//
//	heartbeats ──▶ Facts ─┐
//	committed State ──────┼──▶ View ──▶ controllers ──▶ []raft.Command ──▶ Apply checks them all
//	clock, fresh ids ─────┘        └──▶ Judge ──▶ findings
//
// Controllers are pure functions of a [View]: no I/O, no clock, no randomness of their own, so the
// same code runs in the coordinator and in the simulator. They are run on every change and on every
// tick and say each time all that should be done now; what is done already, or waits, they do not
// say again.
//
// No safety rests on this package. Liveness is judged by time, and a wrong judgement costs a
// restart or a rebuild, never data: every command carries what it was decided on (an epoch, a run),
// and Apply refuses it when that moved on.
//
// Invariant: a controller's command names the epoch or run it was decided on.
// Invariant: run again on the state that its commands made, a controller says nothing new.
package control
