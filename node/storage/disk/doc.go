// Package disk knows what a machine says of the disk below a directory: which device it is, what the kernel
// counted of its errors, what SMART says of it, and how its answers compare with its own past.
//
// Everything here is for people: nothing that a leg does depends on it. A disk that says nothing of itself (a
// loop device, a virtual disk, a file system over many disks) is no fault.
package disk
