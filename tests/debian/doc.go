// Package debian makes parts of machines of the packages of Debian, for tests that boot a real kernel: nothing is
// installed, and of the machine nothing but apt's sources and keys is read.
//
//	Apt ──────▶ the files of packages, with all that they need, from apt's mirrors
//	Unpack ───▶ their content below a directory; no script of theirs runs
//	Drivers ──▶ the drivers of a kernel that somebody wants, numbered so that each comes after those that it needs
//	Program ──▶ one program of theirs with its libraries and its loader, to run wherever it is put
package debian
