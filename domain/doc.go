// Package domain runs guests (domUs) on this host, through one small interface for every kind of
// guest: a [Driver] starts a [Process] from an [Order], finds it again after the daemon was
// restarted, and ends it. The exec driver runs a command, the qemu driver a virtual machine, and
// libvirt and xl have the host's libvirt daemon or its Xen run one.
//
//	daemon ── Order ──▶ Driver ── fork, or ask libvirt ──▶ guest, in a session of its own
//	   ▲                  │ DRIVER.json: which process, of which run
//	   └── Adopt ◀────────┘
//
// Every process of a guest has a token of its run in its environment. It is on disk before the guest
// is started, so that a guest is found again whoever started it, and whenever that came about.
//
// Invariant: of one domain at most one guest runs on this host, however often the daemon restarts.
// Invariant: when Stop or Done says that a guest has ended, nothing of it is left.
//
// The package does not decide where or when a guest may run. Of its disks it knows the URLs of their
// exports and which of these may be connected again, and not whether they serve: the daemon starts a
// guest when they do, and the engine of each volume may kill it.
package domain
