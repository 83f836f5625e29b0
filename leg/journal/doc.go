// Package journal decides for the journal of one leg of parity: where an entry goes, what lies over which block,
// what a commit writes, what may be forgotten, and what a start has to do again (docs/safety/journal.md).
//
//	Stage ─▶ Entry ─▶ file ─▶ Whole          a record counts
//	sync ─▶ Synced                           what comes later is evidence of it
//	Bar, Commit ─▶ AfterImage… Seal ─▶ sync ─▶ Proof ─▶ file, sync ─▶ Sealed ─▶ home ─▶ AtHome … Finish
//	PlanFree, PlanDrop ─▶ Head ─▶ file, sync ─▶ SetHead
//	Replay of each entry, Behind ─▶ Ends     at a start: is it whole?
//	Redo, Started ─▶ file, sync ─▶ SetHead ─▶ home
//
// [Core] is a step object without I/O, clock or goroutine; its caller holds a lock around each method, does the
// I/O and says what is done. It knows payloads by their place and checksums only, so that the simulation drives the
// same decisions over a modelled disk. [Entry] and [Head] are what the file consists of; docs/ondisk.md has their
// bytes.
//
// Invariant: an entry counts once it and all before it are in the file.
// Invariant: what is behind Head.Start is not written over before a head that begins later is durable.
// Invariant: a commit always finds room: what it may need is set aside when its records are staged.
// Invariant: after Sealed no block needs what its home held before.
// Invariant: before home has anything of a commit, a head says that the commit is durable.
package journal
