// Package leg is a leg at rest on a storage node: a directory of a store with a durable label, sparse
// data and a checksum for each of its blocks, behind a gate that admits one epoch.
//
//	target ─▶ Session ─▶ gate (Core.Enter) ─▶ pread, pwrite, fallocate, fdatasync ─▶ data, checksums
//	             │            ▲
//	             └─ in-band ─▶ Core ─▶ label file (two slots), region file (marks and versions)
//
// [Store] is a directory that one process has locked. [Leg] runs the I/O of one leg; every decision
// is made by its [Core], a step object without I/O, clock or goroutine: an event goes in, effects
// come out. [Session] is what one admitted login may use: a block.Device and the in-band commands.
//
// A login with a newer epoch is the fence (protocol-flush B.2). In this order: the gate closes for
// the older epochs, their sessions are killed, the label with the new epoch is durable, what was in
// flight has ended, the login completes.
//
// A region of 1 MiB has a mark, durable before a write to it enters the page cache, and a version, the
// configuration that it was written under. [Regions] holds them; ROTATE and STABLE clear marks that no
// longer matter; what a start finds damaged counts as marked and new ([StartLeg]). Each safety rule of
// the Core can be broken by a switch for tests ([Rules]).
//
// Invariant: the durable fence epoch never decreases (I2).
// Invariant: at the completion of a login a power cut leaves a label with its epoch (I5).
// Invariant: no request reaches the data whose session is not of the label's epoch, or was killed (I3).
// Invariant: no write reaches the page cache before the marks of its regions are durable.
// Invariant: a mark is cleared after the data that it covers is on stable storage, and its stamp.
// Invariant: after a failed sync or label write the leg acknowledges nothing any more (I28).
// Invariant: a block that is not what was written last is never served: reading it is block.ErrMedium.
// Invariant: a label is made by Provision alone; a missing one is lost, never made again.
//
// The package does not know iSCSI or SCSI, and it does not decide which legs exist: package
// node/storage carries orders to it. It does not decide when a mark may go: the engine knows when a
// write is on every leg, and says so with STABLE.
package leg
