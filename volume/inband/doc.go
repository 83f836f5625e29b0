// Package inband is the codec of the commands that travel between engine and leg on the leg's own
// iSCSI session, through the gate: vendor-specific operation code 0xC0 with a service action
// (protocol-flush F, "In-band commands"). Both ends use it; it does no I/O.
//
//	engine                                     leg
//	  ReadLabel ────────────────────────────▶   right after login: label, boot, lossy
//	  Config{epoch, cfgver, in-sync list} ──▶   durable, then I/O is admitted
//	  Rotate / Stable{gen} ─────────────────▶   clears marks that no longer matter
//	  Marks / Versions / Checksums ─────────▶   what to compare and copy
//	  Stamp{versions} / Adopt{blocks} ──────▶   what a compare has shown
//	  Stage{record} + payload ──────────────▶   of a leg of parity: into the journal
//	  Commit / Free / Rollback / Drop ──────▶   what becomes of records
//	  Records ──────────────────────────────▶   what a takeover decides by
//	  Detach{clean} ────────────────────────▶   the epoch is spent
//
// Every CDB has 16 bytes in the shape of SERVICE ACTION IN(16) (SPC-4 §4.2.5). Every parameter
// list starts with its version, so that both ends refuse what they do not know. The byte layouts
// stand in docs/protocol.md.
//
// Invariant: what an Append function or CDB method writes, the Parse function of the same name reads back.
// Invariant: no Parse function panics or allocates more than a small multiple of its input.
package inband
