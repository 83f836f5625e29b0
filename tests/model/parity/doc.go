// Package parity is the protocol of a parity set as a state machine of a few bytes, and a search through every
// order of events that it allows: one stripe, epochs, writes, flushes, power cuts, legs that leave and join.
// Either all reachable states keep the contract, or the shortest history that breaks it is printed.
//
//	guest ── WRITE, READ, FLUSH ──▶ disk.Contract, one for each data chunk
//	  │
//	host of epoch e ── BeginAttach, Activate, RemoveLeg, AddLeg ──▶ raft (raft.go)
//	  │   guest.go settle.go recover.go members.go
//	  ├── STAGE/DELTA, COMMIT, FREE, log sync ──▶ leg 0: log, home block, page cache, medium (leg.go node.go)
//	  └── …                                   ──▶ leg 1 …
//
// A chunk is a symbol; write w stores the bit of w. A data leg holds its symbol, a parity leg the tuple of all
// symbols that it encodes, so a delta that is merged twice, or not at all, shows: whatever way a stripe is
// decoded, all must agree (any k legs decode; what does not agree is garbage).
//
// A log is append-only: a power cut loses a suffix of what was not synced. The home block, independently, is left
// with any value that it had since its last sync. A host pauses or dies by never acting again; a message is
// delayed by never being delivered; a superseded host goes on until a leg refuses it.
//
// What it does not do is said in docs/safety/model.md, with the results.
package parity
