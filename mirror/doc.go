// Package mirror is the RAID engine: it makes one volume of several legs on different storage
// nodes, under the rules of the safety protocol (protocol §1.3 and §1.7, protocol-flush B and C).
//
//	guest requests ──▶ Engine (runner) ──▶ Core (pure) ──▶ effects ──▶ legs, coordinators, guest
//	                     lock, buffers,       every rule       executed after the lock is released
//	                     goroutines, timer    and no I/O
//
// [Core] is a step object: an event and the time go in, effects come out. It does no I/O, reads no
// clock, starts no goroutine, and never sees a byte of payload: it deals in handles. The simulator
// drives the same object. [Engine] runs it: it copies payload, executes effects, owns the
// goroutines that wait for coordinators, and arms one timer for the earliest deadline.
//
// What the package holds, and checks in its tests:
//
//	Invariant: ack_set ⊇ the committed in-sync list while the epoch is current (I9).
//	Invariant: read_set ⊆ the committed in-sync list (I10).
//	Invariant: no ack skips a leg before its RemoveLeg is committed and CONFIG is durable on every
//	leg that still receives writes (I11).
//	Invariant: no byte of a marked region is served before all legs of the in-sync list agree (I15).
//
// It does not decide who is in sync (raft does), does not fence (the legs do), knows no network and
// imports no initiator: a leg is anything that implements [Leg]. The reasons stand in DESIGN.md.
package mirror
