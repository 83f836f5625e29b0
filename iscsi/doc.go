// Package iscsi is RFC 7143 on the wire: what both ends of a session share, and nothing else.
//
//	BHS 48 bytes │ AHS │ header digest │ data segment, padded │ data digest
//	└─ one struct a PDU ─┘               └─ text keys, sense, data ─┘
//	      Parse… / Encode                   Reader (in), Batch (out)
//
// There are three layers. A PDU is a plain struct in a file of its own with Parse… and Encode; it
// knows its 48 header bytes. [Reader] and [Batch] frame PDUs: lengths, padding, digests. On top of
// them are pure state machines that both roles use: [Negotiator] for the operational keys and
// [CHAPTarget] and [CHAPInitiator] for authentication.
//
// Invariant: no input makes anything here panic, or allocate more than the caller's stated bound.
// Invariant: Parse… of what Encode made returns the same struct.
// Invariant: bytes 4 to 7 of a header (the segment lengths) belong to the framing alone.
//
// The package does no I/O of its own beyond the reader and writer it is handed, keeps no clock, and
// knows nothing of SCSI beyond the fields that RFC 7143 carries. Error recovery levels above 0,
// markers and bidirectional data are not negotiated.
package iscsi
