// Package initiator is an iSCSI initiator in user space (RFC 7143).
//
//	block.Request ─▶ RequestQueue ─┐             ┌─▶ writer ─▶┐
//	CDB, data ─────▶ Execute ──────┼─▶ Session ──┤            ├─ target
//	Task ──────────▶ Submit ───────┘   (by ITT)  └◀─ reader ◀─┘
//
// There are two levels. A [Session] is one login's life on a connection that the caller dialled: it
// never reconnects, and when it ends every task of it has completed before Options.OnDown hears of
// it. The engine's legs use it, since what is to be sent again is theirs to decide. A [LUN] is a
// remote logical unit as a block.Device and block.Queue: it keeps a session up, logs in again with
// back-off under the same ISID, and sends again what was not answered.
//
// A [RequestQueue] turns block requests into SCSI commands on a session.
//
// Invariants, each held by a test:
//   - A task that was submitted completes exactly once, and after it has neither its DataIn nor its
//     DataOut is touched.
//   - A task completes without error only if the target answered it and moved all of its data.
//   - What wraps block.ErrFenced came from RESERVATION CONFLICT, or from a refused login in which
//     Options.Fenced saw a newer epoch. A lost session is block.ErrUnreachable, whatever the cause.
//   - Outstanding commands never exceed Options.QueueDepth nor the target's command window.
//
// Goroutines: a session has a reader, a writer and one that waits for both; they end with it. There
// is one timer a session, for its oldest task, and none a task.
//
// It does not do: error recovery levels above 0, several connections a session, task management,
// bidirectional commands, redirection, iSNS.
package initiator
