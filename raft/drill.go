package raft

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// DrillsMax is how many drills the state keeps. The latest of each object, and the latest that worked, are forgotten
// last.
const DrillsMax = 200

// DrillReal is the kind of a drill that moves the guest itself.
const DrillReal = "real"

// DrillResult is how a drill ended.
type DrillResult string

// The results of drills.
const (
	DrillRuns   DrillResult = ""       // it goes on
	DrillOK     DrillResult = "ok"     // the guest came up, every check held, in the time that is promised
	DrillSlow   DrillResult = "slow"   // the guest came up, every check held, later than is promised
	DrillFailed DrillResult = "failed" // the guest did not come up, or a check did not hold
)

// Drill is one fire drill: a failover that an operator wanted in order to see that it works. It is kept, so that
// it is known when that was shown last.
type Drill struct {
	ID      uint64      `json:"id"`      // counts all drills
	Request volume.UUID `json:"request"` // of who asked, so that a repeated request is one drill
	Kind    string      `json:"kind"`
	Object  string      `json:"object"`         // "domain/web1"
	Back    bool        `json:"back,omitempty"` // the guest is moved back in the end
	// At is when it was decided, EndedAt when its end was, each by the clock of the leader that did.
	At      time.Time `json:"at"`
	EndedAt time.Time `json:"ended_at,omitzero"`
	Seq     uint64    `json:"seq"` // of the last event before it
	// Volumes are the domain's, as they were when it began.
	Volumes []DrillVolume `json:"volumes"`
	Moves   []DrillMove   `json:"moves"` // there, and back
	Checks  []DrillCheck  `json:"checks,omitempty"`
	Result  DrillResult   `json:"result,omitempty"`
	Message string        `json:"message,omitempty"` // what failed
}

// DrillVolume is what a volume must be after a drill as it was before.
type DrillVolume struct {
	ID        volume.ID     `json:"id"`
	Name      string        `json:"name"`
	SizeBytes int64         `json:"size_bytes"`
	Layout    volume.Layout `json:"layout"`
	DataGen   volume.UUID   `json:"data_gen"`
}

// DrillMove is one failover of a drill. What its operation told is copied: operations are forgotten earlier.
type DrillMove struct {
	Operation uint64        `json:"operation"`
	Run       uint64        `json:"run"` // of the domain, that it brought about last
	From      string        `json:"from"`
	To        string        `json:"to"`
	FromID    volume.NodeID `json:"from_id"`
	ToID      volume.NodeID `json:"to_id"`
	// Waited says that T_read was waited for one of its volumes: a leg was not fenced.
	Waited bool `json:"waited,omitempty"`
	// ReadFor is the T_read that is waited for then: the longest of what hosts before may read for.
	ReadFor time.Duration    `json:"read_for,omitempty"`
	Stages  []OperationStage `json:"stages,omitempty"`
	Result  OperationResult  `json:"result,omitempty"`
	Message string           `json:"message,omitempty"`
}

// DrillCheck is one thing that was looked at after the guest came up.
type DrillCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what was found, as a sentence without its end
}

// BeginDrill decides a drill with the move that it begins with.
type BeginDrill struct {
	Request volume.UUID `json:"request"`
	Back    bool        `json:"back,omitempty"`
	Place   PlaceDomain `json:"place"`
}

// ReturnDrill decides the way back of a drill.
type ReturnDrill struct {
	ID    uint64       `json:"id"`
	Place PlaceDomain  `json:"place"`
	Was   []DrillCheck `json:"was"` // what was found where the guest was moved to
}

// EndDrill says how a drill ended. Repeated, or after another end, it changes nothing.
type EndDrill struct {
	ID      uint64       `json:"id"`
	Result  DrillResult  `json:"result"`
	Checks  []DrillCheck `json:"checks"` // more than those that ReturnDrill brought
	Message string       `json:"message,omitempty"`
}

// Running reports whether the drill goes on.
func (d *Drill) Running() bool { return d.Result == DrillRuns }

// Worked reports whether the guest came up and every check held, however late.
func (d *Drill) Worked() bool { return d.Result == DrillOK || d.Result == DrillSlow }

// Has reports whether a volume took part.
func (d *Drill) Has(id volume.ID) bool {
	return slices.ContainsFunc(d.Volumes, func(v DrillVolume) bool { return v.ID == id })
}

// Move returns the move that the drill made last. Every drill has one.
func (d *Drill) Move() *DrillMove { return &d.Moves[len(d.Moves)-1] }

// DrillByID returns a drill, nil if none of this number is remembered.
func (s *State) DrillByID(id uint64) *Drill {
	for _, d := range s.Drills {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// DrillOf returns the latest drill of an object, nil if none is remembered.
func (s *State) DrillOf(object string) *Drill {
	return s.LatestDrill(func(d *Drill) bool { return d.Object == object })
}

// LatestDrill returns the latest drill of those that are meant, nil if none is remembered.
func (s *State) LatestDrill(meant func(*Drill) bool) *Drill {
	for i := len(s.Drills) - 1; i >= 0; i-- {
		if meant(s.Drills[i]) {
			return s.Drills[i]
		}
	}
	return nil
}
