// Package model is the mirror's safety protocol as a state machine of a few bytes, and a search
// through every order of events that it allows: one block, a few legs, epochs, writes, flushes and
// power cuts. Either all reachable states keep the contract, or the shortest history that breaks it
// is printed.
//
//	guest ── WRITE, READ, FLUSH ──▶ contract.go: a disk with a write cache
//	  │
//	host of epoch e ── BeginAttach, RecordFence, Activate, RemoveLeg, AddLeg ──▶ raft (coordinator.go)
//	  │   attach.go guest.go session.go remove.go join.go reconcile.go
//	  ├── login, WRITE, FLUSH, CONFIG, STABLE ──▶ leg 0: label, page cache, medium (leg.go)
//	  └── …                                   ──▶ leg 1 …          faults.go cuts their power
//
// Each arrow is a step of its own, and a step that is never taken is a message that is never
// delivered or a party that pauses for ever. A superseded host is not told: it goes on until a leg
// refuses it. The commit of a configuration, CONFIG to each leg, and what the host does next are
// separate steps, and so are a fence, its record in raft, and Activate.
//
// A rule of the protocol (an [M:…] mark of its text) can be broken by name: see AllRules. The search
// then must find a history that goes wrong, else the rule were not needed.
//
//	Bounds + Rules ──▶ machine.next(state) ──▶ normalise ──▶ contract and invariants ──▶ table of hashes
//	                        ▲                                                                │
//	                        └──────────────── breadth first, one level at a time ◀───────────┘
//
// Invariant: the same bounds and rules give the same number of states, the same depth and a
// counterexample of the same length, however many processors search.
//
// What it does not do: it shares no code with the product, so it proves the rules and not the
// program, which tests/sim exercises. docs/safety/model.md has the results and what is not modelled.
package model
