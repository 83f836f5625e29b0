package mirror

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// LegIndex numbers the legs of a Core, from 0. An index is used again after its leg was let go.
type LegIndex int8

// noLeg is the index of no leg.
const noLeg LegIndex = -1

// Handle is something that belongs to whoever drives a Core: a guest's request, or a buffer of
// payload. The Core never looks inside; it only says what is to be done with it.
type Handle any

// Req names one request that was submitted to a leg. The driver gives it back with the answer.
type Req struct {
	Op   uint32 // slot of the operation
	Sess uint32 // the leg's session for which it was decided
	Leg  LegIndex
	Step uint32 // which read of the operation
	Read bool
}

// CallID names one command to a leg or question to the coordinators.
type CallID uint64

// EventKind says what happened, and which fields of the Event are set.
type EventKind uint8

// The events. The driver may deliver them in any order that its world produces, one at a time.
const (
	// EventAttach begins the attachment.
	EventAttach EventKind = iota + 1
	// EventDetach begins an orderly end.
	EventDetach
	// EventLeg makes a leg known or brings what is known of it up to date: Leg, Info.
	EventLeg
	// EventForget lets a leg go once it is not in use: Leg.
	EventForget
	// EventUp is a completed login: Leg, Report.
	EventUp
	// EventDown is a session that ended or a login that failed: Leg, Err.
	EventDown
	// EventGuest is a request of the guest: Guest, Op, Flags, Range; for a write Data holds the
	// payload of the range aligned out to 4 KiB, of which only Range is filled; of a whole stripe of parity
	// it is as long as the stripe, with zeroes behind the end of the volume.
	EventGuest
	// EventDone is a leg's answer to EffectSubmit: Req, Err; for a read without error, Data.
	EventDone
	// EventPong is a leg's answer to EffectPing: Leg, Sess, Err.
	EventPong
	// EventAnswer is the answer to EffectCall: Call, Err, Reply.
	EventAnswer
	// EventScrub starts, changes or stops a scrub: Scrub.
	EventScrub
	// EventVerified answers EffectVerify: Req; Reply.Bad are the blocks that do not fit together.
	EventVerified
	// EventTick says that the time given by Deadline has come. A tick too early does no harm.
	EventTick
)

// Event is something that happened. Which fields count depends on Kind.
type Event struct {
	Kind  EventKind
	Leg   LegIndex
	Op    block.Op
	Flags block.Flags
	Sess  uint32
	Req   Req
	Range block.Range
	Guest Handle
	Data  Handle
	Err   error

	Call   CallID
	Reply  Reply
	Report *volume.LegReport // not kept
	Info   *LegInfo          // not kept
	Scrub  *ScrubOrder       // not kept
}

// Reply is what a command or question brought back.
type Reply struct {
	Config        volume.Config // Activate, RemoveLeg, AddLeg; with ErrRetry and ErrStaleRequest the current one
	Lossy         []volume.LegID
	SetBack       bool   // RecordFence: the leg is copied in full
	Copied        Copied // RecordFence: but for what it has of an earlier copy
	Clean         bool
	Generation    uint64        // Rotate
	Seq           uint64        // Rotate: Progress of the leg's durable label
	Marked, Newer []block.Range // Marks
	Sums          []uint32      // Checksums: of what each block holds now
	Bad           []uint32      // Checksums: blocks of the range that are not what was written, ascending
	Versions      []volume.VersionRun
	Records       *volume.Records // Records
}

// LegInfo is what a Core needs to know of a leg: a LegSpec without its adapter.
type LegInfo struct {
	ID       volume.LegID
	Slot     int
	InSync   bool
	Since    volume.CfgVer
	Join     bool
	Retiring bool
	Replaces volume.LegID
}
