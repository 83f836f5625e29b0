// Package raft is the coordinator: the only authority on who holds a volume, which of its legs are
// in sync, where legs live and where domains run.
//
//	Command ──▶ Coordinator.Apply ──▶ hashicorp/raft ──▶ fsm ──▶ State.Apply ──▶ Result
//	                                                                 │
//	            State(), Changed() ◀── an immutable State per revision
//
// [State] and [State.Apply] are pure: a command in, a result out, no clock, no I/O, no randomness;
// every check that safety rests on is made inside Apply, in log order (protocol §1.1 as
// protocol-flush amends it). [Liveness], [WaitClock] and [State.Place] are pure as well; they
// advise the leader, and nothing that keeps data safe rests on them. [Coordinator] is the thin
// adapter to hashicorp/raft.
//
// Invariants, each with a test:
//
//   - Epoch and CfgVer of a volume only grow (I1); an attachment has one epoch (I7).
//   - The in-sync list of a provisioned volume always is enough for its layout (I12): one leg, or K slots of parity.
//   - Only the last LegProvisioned, Activate, RemoveLeg and AddLeg change the in-sync list.
//   - A refused command changes nothing, except that contradicting evidence freezes a volume,
//     quarantines a leg, or is kept as an event.
//   - A leg that was set back is in no new in-sync list before it was copied in full, unless the
//     operator accepts what is lost.
//   - An accepted command, repeated at once, is accepted again and grants nothing new.
//   - Two replicas that applied the same commands are equal, byte for byte.
//
// What the package does not do: it reaches no storage node (hosts carry the fence), it keeps no
// heartbeats in the log, it does not compute assignments (node/coordinator does), and it never
// decides that data may be given up: that is an operator's word.
package raft
