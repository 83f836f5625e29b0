// Package host is the host role of a node: it makes this machine do what the coordinators' latest
// [peer.Assignment] says about volumes and domains.
//
//	Assignment ──▶ core (pure: what is wanted, what is seen ─▶ the next action per object)
//	                │ actions                          ▲ what happened
//	                ▼                                  │
//	              jobs: start, adopt, stop engines · start, guard, end guests · ask raft
//
// For each attached volume there is one engine process, in a session of its own, with a directory
// of its own below the run directory. Engines and guests outlive the daemon; a daemon that starts
// looks for them and goes on with what it finds. The socket that a guest connects to outlives the
// engine: the host holds it and hands each engine a descriptor of it.
//
// Invariant: an engine is started at most once for one attachment. A second one takes a new epoch
// (protocol-flush B.1), so the attachment is recorded on disk, for ever, before its engine starts.
// Invariant: a guest runs only while all of its volumes are served by the very engines that it was
// started on. It is gone before another engine of one of its volumes starts (protocol-flush F).
// Invariant: actions of one object never overlap.
//
// Nothing that is said here protects data: legs refuse old epochs whatever a host believes. What the
// host adds is that a guest whose disk is gone does not linger.
package host
