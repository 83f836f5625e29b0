package volume

import "fmt"

// LegState is what raft holds of a leg.
type LegState string

// The states of a leg. Only a leg InSync is ever read for the guest.
const (
	LegInSync      LegState = "in_sync"     // in the committed in-sync list
	LegStale       LegState = "stale"       // was in sync once; a resync brings it back
	LegRebuilding  LegState = "rebuilding"  // blank; never was in sync
	LegLost        LegState = "lost"        // its data is gone (empty disk, failed medium): replace it
	LegQuarantined LegState = "quarantined" // contradicts raft; kept, never used
)

// Phase is where a volume stands between two attachments.
type Phase string

// The phases of a volume.
const (
	PhaseProvisioning Phase = "provisioning" // its legs are being made for the first time
	PhaseDetached     Phase = "detached"     // nobody holds it
	PhaseAttaching    Phase = "attaching"    // an epoch is granted; its host is fencing legs
	PhaseAttached     Phase = "attached"     // the grant is active
	PhaseFrozen       Phase = "frozen"       // evidence contradicts raft; an operator decides
)

// Durability is when a write counts as done (design §2.5).
type Durability string

// The durability classes.
const (
	DurabilityFlush Durability = "flush" // like a disk with a write cache: durable after a flush
	DurabilitySync  Durability = "sync"  // durable when acknowledged
)

// UnflushedLoss says what Activate does when only legs that lost their cache can be reached while
// an in-sync leg that may have kept it cannot (protocol-flush C.4).
type UnflushedLoss string

// The policies for un-flushed data.
const (
	LossWait   UnflushedLoss = "wait"   // wait for the leg, and name it
	LossAccept UnflushedLoss = "accept" // go on: flushed data is safe, un-flushed data is declared lost
)

// ParseDurability reads a durability class; the empty text is the default, flush.
func ParseDurability(s string) (Durability, error) {
	switch d := Durability(s); d {
	case "":
		return DurabilityFlush, nil
	case DurabilityFlush, DurabilitySync:
		return d, nil
	}
	return "", fmt.Errorf("durability %q is unknown (flush or sync)", s)
}
