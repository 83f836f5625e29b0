// Package xen tests a cluster with real Xen hosts: Xen 4.17 and a Debian dom0, in emulation. Two of them are nodes with
// the role host, three more nodes beside them are coordinators and have the data. (Coordinators inside the emulation
// would lose their elections to its pauses.) The guest is a paravirtual domU with Debian's kernel and the root of
// package linuxguest, on a volume of two legs.
//
//	Image ──▶ what a host boots from: of Debian's packages, once, in a cache; nothing is installed
//	Host ───▶ a machine: power on and off, halted with its clocks, frozen without them
//	enter ──▶ the test in namespaces of its own, with its files in memory: nothing is left of it, however it ends
//
// The test runs where HOLDFAST_XEN is set, as ./scripts/nightly does. It takes about four minutes.
package xen
