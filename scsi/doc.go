// Package scsi is a SCSI device server for direct access block devices (SPC-4, SBC-3), and the words
// that both ends of an iSCSI session share: CDBs, status and sense.
//
//	iSCSI target ── Command ──▶ LogicalUnit (Disk, NoLUN)
//	                               │ table: opcode, service action → handler
//	                               ▼
//	                            block.Device
//
// It is pure: no goroutine, no clock, no I/O but the calls to the block.Device, which run on the
// caller's goroutine. READ and WRITE hand the caller's buffers straight to the device.
//
// Invariants, each held by a test:
//   - Every error of package block has a status and sense, and none of them is GOOD.
//   - One table decides which commands exist; REPORT SUPPORTED OPERATION CODES lists exactly it.
//   - No CDB, however malformed, panics, transfers more than was asked or reaches the device
//     outside its size.
//   - A command that is refused has changed nothing.
//
// Unit attentions: an I_T nexus that is new to a logical unit gets POWER ON, RESET, OR BUS DEVICE
// RESET OCCURRED (06/29/00) once, because it is how an initiator learns that a unit has started
// anew. A reset brings it again. The others tell of reservations and registrations that were taken away (06/2A/03
// to 05).
//
// It does not do: protection information, saved mode pages, stopping the unit. They
// answer as the standards ask for a command or field that is not there, and nothing advertises them.
package scsi
