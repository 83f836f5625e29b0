// Package target is the iSCSI server (RFC 7143): portals, logins, sessions and the commands of
// initiators, which scsi.LogicalUnits execute.
//
//	net.Listener ─▶ Server ─▶ conn: login ─▶ Admission.Admit ─▶ session, full feature phase
//	                           │
//	     reader (one at a time)│ PDU ─▶ task ─▶ inline, or a worker ─▶ LogicalUnit.Execute
//	                           │                                          │
//	                           └◀── outbox: replies, written together ◀───┘
//
// Who may log in and what is found there is decided by an [Admission]. The package never knows
// whether a target is a leg with an epoch or a plain file.
//
// Invariants, each held by a test:
//   - Admit is called only after the initiator has proved what Credentials asked for, and after
//     the session that the login reinstates has ended and none of its commands runs any more.
//   - After Kill returned no further command of the session begins to execute.
//   - Grant.Closed is called exactly once for each successful Admit, when no command runs any more.
//   - A task management function is answered when none of the commands it affects runs any more,
//     and no response of such a command follows the answer.
//   - What a connection holds in memory is bounded by Options, whatever the initiator sends.
//
// A command runs inline on the connection's reader as long as its kind has been quick lately;
// replies are flushed when no further request is buffered. Slow opcodes go to a bounded pool of
// workers. When an inline command turns out to be stuck, another goroutine takes over the reading,
// so NOP-Out and task management are always answered.
//
// Error recovery level is 0 and a session has one connection. The package does not do:
// bidirectional commands, ACA, markers, iSNS, TLS; ORDERED and HEAD OF QUEUE commands are queued
// like SIMPLE ones, as logical units without ORDSUP and HEADSUP may.
package target
