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
// A volume is a mirror or a set of parity=k+m; what a request does in the one and not in the other stands behind one
// small interface, in layout.go. In a set of parity a write is a record in the journals of its data leg and the legs
// of parity, which rounds bring home, and before an epoch serves every write that was under way is carried forward on
// all legs or taken back on all (docs/safety/journal.md).
//
// What the package holds, and checks in its tests:
//
//	Invariant: ack_set ⊇ the committed in-sync list while the epoch is current (I9).
//	Invariant: read_set ⊆ the committed in-sync list (I10).
//	Invariant: no ack skips a leg before its RemoveLeg is committed and CONFIG is durable on every
//	leg that still receives writes (I11).
//	Invariant: no byte of a marked region is served before all legs of the in-sync list agree (I15).
//	Invariant: a block that a leg calls bad is never copied from there, and what one leg in sync has
//	whole is never given up for what another one has (I27).
//	Invariant: no write of a set of parity is acknowledged before all legs of its record's list that acks need have
//	it, and none is brought home on any leg before its records are durable on all.
//	Invariant: a leg that joins has the source's versions of all that it missed (I17).
//
// Blocks that cannot be read are rewritten from another leg when a read meets them, and looked for by
// [Engine.Scrub]; which of several whole blocks that differ is right is never guessed.
//
// It does not decide who is in sync (raft does), does not fence (the legs do), knows no network and
// imports no initiator: a leg is anything that implements [Leg]. The reasons stand in DESIGN.md.
package mirror
