// Package node is the daemon of one node, and the only place where the parts meet: it reads the
// configuration, proves who it is, and runs the roles that it was given.
//
//	            ┌───────────────────────── Daemon ──────────────────────────┐
//	HTTPS ────▶ │ coordinator role ◀── raft.Coordinator ◀── raft connections │
//	 (mTLS)     │   (others: api.Proxy to the coordinators)                  │
//	unix ─────▶ │ storage role: storage.Manager ◀── target.Server ◀── iSCSI  │
//	socket      │ host role: host.Host ──▶ engines, guests                   │
//	            │ membership: register, heartbeats, assignments              │
//	            └────────────────────────────────────────────────────────────┘
//
// Engines and guests are processes of their own and outlive the daemon; everything else ends with
// it. All listeners are open before anything is told to the cluster, so that a node which cannot
// serve never registers.
//
// Invariant: a data directory is used by one daemon at a time, and by one node for ever.
//
// It decides nothing about data: the rules are in raft, leg and mirror.
package node
