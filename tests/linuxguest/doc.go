// Package linuxguest makes a real guest for the tests and the demo: Debian's kernel, and an ext4 file system as its
// root, from which it counts.
//
//	Fetch ──▶ kernel, drivers, busybox, QEMU's guest agent (from apt's mirrors, once, into a cache)
//	Initrd ─▶ the drivers of a virtio disk, and the steps to the root
//	Root ───▶ the root: busybox, a counter in a file, a shell on the console, an ear for the power button, and the
//	          agent where the machine has a channel for it
//
// Ten times a second the guest writes the next number into its file, waits for fsync, and only then reports it on its
// console. So what [Synced] reads there was promised to be kept, whatever becomes of the host.
package linuxguest
