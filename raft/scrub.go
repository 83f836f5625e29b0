package raft

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// ScrubEvery is how often a volume is scrubbed unless its owner says otherwise; ScrubEveryMin is the
// shortest schedule.
const (
	ScrubEvery    = 30 * 24 * time.Hour
	ScrubEveryMin = time.Hour
)

// Who asks for a scrub.
const (
	ScrubByOperator = "operator"
	ScrubBySchedule = "schedule"
)

// ScrubRangesMax is how many diverged ranges a result names.
const ScrubRangesMax = 16

// Scrub is a scrub that is wanted and not done. It outlives the engine that is at it: the next one goes
// on at From.
type Scrub struct {
	ID      uint64      `json:"id"`      // counts the volume's scrubs
	Request volume.UUID `json:"request"` // by which a repeated request knows it
	By      string      `json:"by"`
	At      time.Time   `json:"at"`
	Rate    int64       `json:"rate,omitempty"` // bytes of the volume a second; zero = the engine's default
	From    int64       `json:"from,omitempty"` // bytes below this were looked at by engines that have ended
	Found   ScrubFound  `json:"found"`          // by them
}

// ScrubFound is what was found. All counts are of blocks of 4 KiB.
type ScrubFound struct {
	Legs       []ScrubbedLeg `json:"legs,omitempty"` // legs with bad blocks
	Diverged   int64         `json:"diverged,omitempty"`
	Ranges     []ScrubRange  `json:"ranges,omitempty"` // the first that diverged, at most ScrubRangesMax
	Unreadable int64         `json:"unreadable,omitempty"`
}

// ScrubbedLeg is what was found on one leg.
type ScrubbedLeg struct {
	Leg    volume.LegID `json:"leg"`
	Bad    int64        `json:"bad"`    // blocks that it could not read, or that were not what they had to be
	Healed int64        `json:"healed"` // of these, blocks that were rewritten from another leg
}

// ScrubRange is a part of a volume.
type ScrubRange struct {
	Off int64 `json:"off"` // in bytes
	Len int64 `json:"len"`
}

// Bad returns the bad blocks of all legs.
func (f *ScrubFound) Bad() (n int64) {
	for _, l := range f.Legs {
		n += l.Bad
	}
	return n
}

// Healed returns how many of the bad blocks were healed.
func (f *ScrubFound) Healed() (n int64) {
	for _, l := range f.Legs {
		n += l.Healed
	}
	return n
}

// plus returns what both found.
func (f *ScrubFound) plus(o *ScrubFound) ScrubFound {
	sum := ScrubFound{
		Legs: slices.Clone(f.Legs), Diverged: f.Diverged + o.Diverged, Unreadable: f.Unreadable + o.Unreadable,
	}
	for _, l := range o.Legs {
		i := slices.IndexFunc(sum.Legs, func(s ScrubbedLeg) bool { return s.Leg == l.Leg })
		if i < 0 {
			sum.Legs = append(sum.Legs, l)
			continue
		}
		sum.Legs[i].Bad, sum.Legs[i].Healed = sum.Legs[i].Bad+l.Bad, sum.Legs[i].Healed+l.Healed
	}
	sum.Ranges = slices.Concat(f.Ranges, o.Ranges)
	sum.Ranges = sum.Ranges[:min(len(sum.Ranges), ScrubRangesMax)]
	return sum
}

// ScrubResult is a scrub that is over.
type ScrubResult struct {
	Scrub
	FinishedAt time.Time `json:"finished_at"`
	Bytes      int64     `json:"bytes"`    // of the volume that were looked at
	Complete   bool      `json:"complete"` // all of the volume was
}

// RequestScrub wants an attached volume scrubbed. If a scrub is wanted already it is that one, with the
// rate of this request. Epoch, if not zero, refuses the command unless it is the current one.
type RequestScrub struct {
	Volume  volume.ID    `json:"volume"`
	Epoch   volume.Epoch `json:"epoch,omitempty"`
	Request volume.UUID  `json:"request"` // chosen by who asks, so that a repeated request is one scrub
	By      string       `json:"by"`
	Rate    int64        `json:"rate,omitempty"`
}

// StopScrub gives a scrub up. What it found is kept.
type StopScrub struct {
	Volume volume.ID `json:"volume"`
}

// ReportScrub tells what the engine of this epoch found in [From, Next) of a scrub. Complete says that
// this was the volume's end.
type ReportScrub struct {
	Volume   volume.ID    `json:"volume"`
	Epoch    volume.Epoch `json:"epoch"`
	ID       uint64       `json:"id"`
	From     int64        `json:"from"`
	Next     int64        `json:"next"`
	Complete bool         `json:"complete,omitempty"`
	Found    ScrubFound   `json:"found"`
}

// ScrubbedAt returns when the volume was last known to be looked at in full: by its last complete scrub,
// or when it was made.
func (v *Volume) ScrubbedAt() time.Time {
	if v.LastScrub != nil {
		return v.LastScrub.FinishedAt
	}
	return v.CreatedAt
}

// ScrubOf returns the scrub with this number, running or over; all nil for one that nobody remembers.
func (v *Volume) ScrubOf(id uint64) (running *Scrub, over *ScrubResult) {
	if v.Scrub != nil && v.Scrub.ID == id {
		return v.Scrub, nil
	}
	for _, r := range []*ScrubResult{v.LastScrub, v.StoppedScrub} {
		if r != nil && r.ID == id {
			return nil, r
		}
	}
	return nil, nil
}
