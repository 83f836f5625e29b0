// Package system tests whole clusters of real processes through the built binary, as an operator and
// foreign programs (QEMU's tools, libnbd, fio, ext4) see them.
//
//	cluster   nodes as processes on loopback (`holdfast dev`), ended with the test however it ends
//	site      a cluster whose nodes can lose power: an ext4 for each, on a loop device in a mount
//	          namespace of the test's own; a cut stops it without its log, so that all that was not
//	          written is gone, and a new boot id follows
//	disk      what a guest sees: QEMU's NBD client behind a server, which reconnects to whatever host
//	machine   a guest of QEMU's that counts on its disk; linux is one with a kernel and an ext4 root
//	load      fio on that disk, which verifies all it wrote
//	chaos     a site in network namespaces where everything goes wrong at once (package chaos)
//	by hand   machines made nodes by cluster init and join, each with a loopback address of its own
//	ledger    a guest that knows what each of its blocks may hold after everything lost its power
//
// Most of a test is waiting, so some that have nothing but a cluster of their own run side by side (t.Parallel): each
// cluster has its own ports, directories and processes. A test that measures how long a guest stands still, or uses
// what the machine has once (loop devices, libvirt's daemon, network namespaces), runs alone, and so does one in which
// a host that is slow for a moment must not count as silent.
//
// HOLDFAST_ROUNDS says how often the tests that repeat themselves do so, HOLDFAST_SEED repeats a draw.
//
// Invariant: nothing is left of a test that was killed: no process, mount, loop device or file.
//
// What they do not do: hold exact times. Those are held in virtual time, by mirror and tests/sim.
package system
