// Package raft is the coordinator: the only authority on who holds a volume, which of its legs are
// in sync, where legs live and where domains run.
//
// [State] and [State.Apply] are pure: a command in, a result out, no clock, no I/O, no randomness;
// every check that safety rests on is made inside Apply, in log order (protocol §1.1 as
// protocol-flush amends it). [Coordinator] is the thin adapter to hashicorp/raft.
package raft
