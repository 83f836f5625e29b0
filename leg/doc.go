// Package leg is a leg at rest on a storage node: a directory of a store with a durable label and
// sparse data, behind a gate that admits one epoch.
//
//	target ─▶ Session ─▶ gate (Core.Enter) ─▶ pread, pwrite, fallocate, fdatasync ─▶ data
//	             │            ▲
//	             └─ in-band ─▶ Core ─▶ label file (two slots)
//
// [Store] is a directory that one process has locked. [Leg] runs the I/O of one leg; every decision
// is made by its [Core], a step object without I/O, clock or goroutine: an event goes in, effects
// come out. [Session] is what one admitted login may use: a block.Device and the in-band commands.
//
// A login with a newer epoch is the fence (protocol-flush B.2). In this order: the gate closes for
// the older epochs, their sessions are killed, the label with the new epoch is durable, what was in
// flight has ended, the login completes.
//
// Invariant: the durable fence epoch never decreases (I2).
// Invariant: at the completion of a login a power cut leaves a label with its epoch (I5).
// Invariant: no request reaches the data whose session is not of the label's epoch, or was killed (I3).
// Invariant: no write reaches the page cache before the label says that regions are marked.
// Invariant: after a failed sync or label write the leg acknowledges nothing any more (I28).
// Invariant: a label is made by Provision alone; a missing one is lost, never made again.
//
// The package does not know iSCSI or SCSI, and it does not decide which legs exist: package
// node/storage carries orders to it. Marks are coarse so far: one mark stands for all regions.
package leg
