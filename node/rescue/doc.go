// Package rescue reads volumes from the disks of storage nodes when there is no cluster any more.
//
//	directories ─▶ Scan ─▶ evidence of each leg ─▶ choose ─▶ the legs that hold every acknowledged write
//	                                                 │                     │
//	                                     RefusedError: what is missing     ▼
//	                                                            export: blocks ─▶ FILE.part ─▶ FILE
//	                                                            FILE.report: what was taken from where
//
// Only labels decide, never times or sizes of files: each tells the newest in-sync list that its leg knew
// of (protocol §1.7.9). A leg that is not in the newest list of all, or whose own label is behind it, or
// that lost its cache, may lack acknowledged writes and is not used. When a leg that the newest list names
// is absent, a still newer list may be on it, which leaves the others out. Then, and whenever the labels
// contradict each other, nothing is exported unless the operator names a leg.
//
// Invariant: nothing on the disks is changed.
// Invariant: FILE exists only when it is whole, and never takes the place of another file unasked.
// Invariant: each byte of FILE passed its checksum on a leg that was chosen, or its place is in the report.
//
// What labels cannot tell: a leg that was added while all the others became unreachable, before one of
// them heard of it, is named on no disk but its own. Give all disks that may hold a leg.
//
// The package does not start a node, does not bring a cluster back, and does not decode parity.
package rescue
