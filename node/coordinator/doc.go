// Package coordinator is the coordinator role of a node: it hears everybody's heartbeats, tells
// nodes and engines what to do, and, while it leads, runs the controllers and serves the public API.
//
//	nodes, engines ── heartbeats, commands, watches ──▶ PeerHandler ─┐
//	users ─────────── /v1 ─────────────────────────────▶ APIHandler ─┤
//	                                                                 ▼
//	        Run: Liveness, WaitClock, controllers ──▶ raft.Coordinator ──▶ State
//
// Heartbeats are kept by every coordinator, so that a new leader can judge at once; followers tell
// the leader whom they hear. Everything else is the leader's: others answer who leads (peers), or
// pass the call on (public API).
//
// Assignments and tickets are pure functions of the committed state. A ticket holds the secrets of
// one grant, so it goes to the host that holds the grant and to nobody else, and only after the
// grant was committed (protocol-flush B.1).
//
// Invariant: Activate says that the wait is over only by this leader's own clock.
// Invariant: no command of a peer is proposed that its certificate does not entitle it to.
//
// What keeps data safe is none of this package: Apply checks every command, and storage nodes fence.
package coordinator
