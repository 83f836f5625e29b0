// Package demo does the four daily jobs on a throw-away cluster of real processes, tells what it
// does, and checks itself: it is the product's promise as a program. `holdfast demo` runs it.
//
// With Options.Guest it has a real guest, Linux in a virtual machine, whose host loses its power.
//
// [Guest] is what runs as the domU: it writes numbered, checksummed records with flushes. The demo
// takes nothing on trust: what the guest reported as flushed is looked up in the end.
package demo
