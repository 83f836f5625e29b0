// Package track notes what changes on a device while it is copied, and holds changes back for the moment at which the
// copy is to be cut.
//
// A Tracker is a block.Queue in front of another one; a Map is what was changed since it was copied. Whoever copies
// takes extents out of the map and reads them behind the tracker, until little is left; then holds all changes, copies
// the rest, and lets the changes go: what was copied is what the device held at the moment of the hold.
package track
