// Package engine is the process behind `holdfast engine`: one per attached set. It holds one grant
// (an epoch), reaches the legs, runs the mirror over them and offers the volume to the guest.
//
//	            ticket (stdin)      heartbeats, commands, ticket watch (HTTPS, mutual TLS)
//	node daemon ─────────────▶ ┌────────────────────────┐ ◀──────────────▶ coordinators
//	     │   control.sock      │ engine                 │
//	     └───────────────────▶ │  mirror.Engine         │ ── iSCSI ──▶ leg on node A
//	 domU ──── nbd.sock ─────▶ │  export/nbd            │ ── iSCSI ──▶ leg on node B
//	                           └────────────────────────┘
//
// The engine outlives its daemon: what it needs after its start it gets from the coordinators. A
// daemon that comes back adopts it over the control socket by volume, epoch and attach id, never by
// pid. Its secrets come on standard input and stay in memory, so a new process always means a new
// epoch (protocol-flush B.1).
//
// Invariant: nothing is served before the mirror says that it serves (protocol-flush B.5).
// Invariant: once fenced, the engine serves nothing, kills the guarded domU and never comes back.
//
// The engine decides nothing about safety by itself: what a leg's refusal means is judged in one
// function (refusal.go), the rules are those of package mirror, and who is in sync is raft's word.
package engine
