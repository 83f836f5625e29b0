// Package domain runs guests (domUs) on this host, through one small interface for every kind of
// guest: a [Driver] starts a [Process] from an [Order], finds it again after the daemon was
// restarted, and ends it. The exec driver runs a command, the qemu driver a virtual machine.
//
//	daemon ── Order ──▶ Driver ── fork ──▶ guest (own session, own log)
//	   ▲                  │ DRIVER.json: which process, of which run
//	   └── Adopt ◀────────┘
//
// Invariant: of one domain at most one guest runs on this host, however often the daemon restarts.
// Invariant: when Stop or Done says that a guest has ended, no process of it is left.
//
// The package does not decide where or when a guest may run, and it does not know what its disks
// are: the daemon starts it when its volumes serve, and the engine of each volume may kill it.
package domain
