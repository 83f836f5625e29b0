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
// that lost its cache, may lack acknowledged writes and is not used. When a leg of a mirror that the newest list names
// is absent, a still newer list may be on it, which leaves the others out. Then, and whenever the labels
// contradict each other, nothing is exported unless the operator names legs.
//
// # Parity
//
// Of parity=k+m any k legs of the newest list are the whole volume. Legs may be absent as long as they cannot have
// gone on by themselves: nothing is acknowledged without a leg before the list without it is on the labels of all legs
// that are left, and no list has legs of fewer than k slots, so a list that no leg here knows would be of absent legs
// of k slots. Counted as absent are the missing legs of the newest list, slots of which no leg was found at all (not
// after a detach in order), and legs whose label is half corrupt or behind the list that names it (chooseset.go).
//
// What a leg holds is its home with its journal over it, which is replayed into memory. What becomes of the writes
// that were under way is decided as by an engine that takes over with the legs that are used (docs/safety/journal.md,
// "Before an epoch serves"; mirror.TakenBack): on any choice of legs what was acknowledged counts; of other writes
// some may on one choice and not on another. A block that its leg cannot give is decoded from its row.
//
// Invariant: nothing on the disks is changed.
// Invariant: FILE exists only when it is whole, and never takes the place of another file unasked.
// Invariant: each byte of FILE passed its checksum on a leg that was chosen, or was decoded from such blocks, or its
// place is in the report.
//
// What labels cannot tell: a leg that was added while all the others became unreachable, before one of
// them heard of it, is named on no disk but its own. Of parity that takes as many legs that are absent, or replacements
// of found ones, as are enough. Give all disks that may hold a leg.
//
// The package does not start a node, and does not bring a cluster back.
package rescue
