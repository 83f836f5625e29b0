// Package system tests the built binary as its users run it: real processes on loopback, driven by
// the command line alone, with foreign clients (qemu-img, qemu-io, e2fsprogs) at the export.
package system
