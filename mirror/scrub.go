package mirror

import (
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// ScrubOrder starts, changes or stops the scrub of a volume. One is under way at a time.
type ScrubOrder struct {
	ID   uint64 // names the scrub in its report; an order with the ID of the one under way changes its rate
	Rate int64  // bytes of the volume a second; zero = 64 MiB
	From int64  // where to begin, as an earlier report's Next says; zero = the beginning
	Stop bool   // end the scrub ID where it is; the rest of the order does not count
}

// ScrubReport tells how a scrub ended, and what it found. All counts are of blocks of BlockBytes.
type ScrubReport struct {
	ID         uint64
	From, Next int64 // it looked at [From, Next); the next scrub may begin at Next
	Bytes      int64 // of the volume that were looked at: Next − From
	Complete   bool  // it reached the volume's end
	Legs       []ScrubbedLeg
	// Diverged are the first ranges on which legs differ, every one of them whole by its own checksums
	// and none in the majority: which of them is right cannot be known, so nothing was changed.
	Diverged   []block.Range // at most scrubRanges
	DivergedN  int64         // blocks in all such ranges
	Unreadable int64         // blocks that no leg in sync can read
	StartedAt  time.Duration // on the engine's clock
	FinishedAt time.Duration
}

// ScrubbedLeg is what a scrub found on one leg.
type ScrubbedLeg struct {
	ID     volume.LegID
	Bad    int64 // blocks that it could not read, or that are not what the majority has
	Healed int64 // of these, blocks that were rewritten and read back from its medium
}
