package control

import (
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Facts is what a coordinator heard: soft state in memory, lost with the process and heard again
// within a heartbeat. Every coordinator keeps it, so a new leader judges at once. It is not safe
// for concurrent use.
type Facts struct {
	// Since is when this coordinator began to listen without a gap. Silence is counted from here at
	// the earliest: who did not listen cannot say that others were silent.
	Since   time.Time
	Nodes   map[volume.NodeID]*NodeFact
	Engines map[volume.AttachID]*EngineFact

	restarts map[string]*failures        // of domains, by name
	regrants map[volume.ID]*failures     // of engines, by volume
	grants   map[volume.AttachID]grant   // current attachments, when they were first seen
	detached map[volume.ID]time.Time     // detached volumes, since when they were seen so
	silentAt map[volume.NodeID]time.Time // nodes whose silence is on record as an event
}

// NodeFact is the last heartbeat of a node's daemon.
type NodeFact struct {
	Heard   time.Time
	Start   uint64 // random, per start of the daemon
	Seq     uint64 // of the last heartbeat of that start
	PID     int
	Stores  []StoreFact
	Legs    map[volume.LegID]*LegFact
	Domains map[string]*DomainFact
	Engines map[volume.AttachID]bool // engines that the daemon has
	earlier uint64                   // the start before, whose late heartbeats count no more
}

// StoreFact is the health of one store.
type StoreFact struct {
	ID         volume.StoreID
	Name       string
	TotalBytes int64
	FreeBytes  int64
	Error      string // why it cannot be used
}

// Condition is what a storage node says of a leg's data.
type Condition string

// The conditions of a leg.
const (
	ConditionOK          Condition = "ok"
	ConditionMissing     Condition = "missing"
	ConditionBad         Condition = "bad"
	ConditionQuarantined Condition = "quarantined"
	ConditionUnreachable Condition = "unreachable" // its node is silent
	ConditionUnknown     Condition = "unknown"     // its node does not speak of it
)

// LegFact is what a storage node says of one leg.
type LegFact struct {
	Condition       Condition
	Since           time.Time // that it is in this condition
	Error           string
	Volume          volume.ID
	FenceEpoch      volume.Epoch
	CfgVer          volume.CfgVer
	Sessions        int
	ReadMicros      int64
	UsedBytes       int64
	RefusedLogins   uint64
	RefusedCommands uint64
}

// DomainState is what a host says of a domain.
type DomainState string

// The states of a domain on its host.
const (
	DomainStarting DomainState = "starting"
	DomainRunning  DomainState = "running"
	DomainStopping DomainState = "stopping"
	DomainStopped  DomainState = "stopped" // by order
	DomainExited   DomainState = "exited"  // by itself
	DomainKilled   DomainState = "killed"  // its grant was lost
	DomainFailed   DomainState = "failed"  // it could not be started
)

// over reports whether this run has ended without an order.
func (s DomainState) over() bool { return s == DomainExited || s == DomainKilled || s == DomainFailed }

// DomainFact is what a host says of one domain.
type DomainFact struct {
	Run   uint64
	State DomainState
	Since time.Time // that it is in this state
	PID   int
	Error string
}

// EngineState is what an engine does.
type EngineState string

// The states of an engine.
const (
	EngineConnecting EngineState = "connecting"
	EngineServing    EngineState = "serving"
	EngineHeld       EngineState = "held"
	EngineFenced     EngineState = "fenced"
	EngineFailed     EngineState = "failed"
	EngineDetached   EngineState = "detached"
)

// over reports whether the engine is done for good.
func (s EngineState) over() bool {
	return s == EngineFenced || s == EngineFailed || s == EngineDetached
}

// Serves reports whether the export answers.
func (s EngineState) Serves() bool { return s == EngineServing || s == EngineHeld }

// EngineFact is the last that was heard of an attachment's engine, by itself or from its daemon.
type EngineFact struct {
	Heard    time.Time // from the engine itself; zero if never
	Since    time.Time // that it is in this state
	Node     volume.NodeID
	Volume   volume.ID
	Epoch    volume.Epoch
	AttachID volume.AttachID
	PID      int
	State    EngineState
	Reason   string
	CfgVer   volume.CfgVer
	Exports  []Export
	Legs     []EngineLeg
	Stages   []Stage
}

// Export is one way to reach a volume on its host.
type Export struct{ Type, URL string }

// Stage is one timed step of an attach, from the engine's start.
type Stage struct {
	Name string
	At   time.Duration
}

// EngineLeg is one leg as an engine sees it.
type EngineLeg struct {
	ID        volume.LegID
	State     string
	Error     string
	DoneBytes int64
	CopyBytes int64 // zero when nothing is copied
}

// grant is when an attachment, and the first fence that starts its T_read wait, were seen committed.
type grant struct {
	seen   time.Time
	fenced time.Time // zero until a member of the in-sync list is fenced in this epoch
}

// failures counts failures in a row, for back-off.
type failures struct {
	count int
	last  time.Time
	mark  string // the run or attachment that was counted last
}

// failuresForget is how long something must go well before its failures are forgotten.
const failuresForget = 5 * time.Minute

// note counts the failure of what mark names, once.
func (f *failures) note(now time.Time, mark string) {
	if f.mark == mark {
		return
	}
	if now.Sub(f.last) > failuresForget {
		f.count = 0
	}
	f.count, f.last, f.mark = f.count+1, now, mark
}

// backoff is how long to wait after so many failures in a row: 0.5 s, 1 s, 2 s … up to 30 s.
func backoff(count int) time.Duration {
	if count <= 0 {
		return 0
	}
	return min(500*time.Millisecond<<min(count-1, 6), 30*time.Second)
}

// due reports whether the back-off has passed. No failure at all is due.
func (f *failures) due(now time.Time) bool {
	return f == nil || now.Sub(f.last) >= backoff(f.count)
}

// NewFacts returns empty facts of a coordinator that begins to listen now.
func NewFacts(now time.Time) *Facts {
	return &Facts{
		Since: now, Nodes: map[volume.NodeID]*NodeFact{}, Engines: map[volume.AttachID]*EngineFact{},
		restarts: map[string]*failures{}, regrants: map[volume.ID]*failures{},
		grants: map[volume.AttachID]grant{}, detached: map[volume.ID]time.Time{},
		silentAt: map[volume.NodeID]time.Time{},
	}
}

// Gap says that this coordinator did not listen until now: it was stopped, or starved. All silence
// before now is forgotten.
func (f *Facts) Gap(now time.Time) { f.Since = now }

// Waited reports whether 1.25 times tRead has passed since the first fence of a member of the
// in-sync list was seen committed for this attachment. A coordinator that leads anew counts from
// when it saw it itself (protocol §1.6).
func (f *Facts) Waited(a volume.AttachID, now time.Time, tRead time.Duration) bool {
	g, ok := f.grants[a]
	return ok && !g.fenced.IsZero() && now.Sub(g.fenced) >= tRead+tRead/4
}

// Observe notes what the committed state says that has to be timed, and forgets what it no longer
// names. It is called after every change of the state.
func (f *Facts) Observe(s *raft.State, now time.Time) {
	grants := make(map[volume.AttachID]grant, len(s.Volumes))
	detached := make(map[volume.ID]time.Time)
	for _, v := range s.Volumes {
		if v.Attach == nil {
			since, ok := f.detached[v.ID]
			if !ok {
				since = now
			}
			detached[v.ID] = since
			continue
		}
		g, ok := f.grants[v.Attach.ID]
		if !ok {
			g.seen = now
		}
		if g.fenced.IsZero() && fencedMember(v) {
			g.fenced = now
		}
		grants[v.Attach.ID] = g
	}
	f.grants, f.detached = grants, detached
	for id, e := range f.Engines {
		if _, current := grants[id]; !current && now.Sub(e.Since) > failuresForget {
			delete(f.Engines, id)
		}
	}
	for name := range f.restarts {
		if s.Domains[name] == nil {
			delete(f.restarts, name)
		}
	}
	for id := range f.regrants {
		if s.Volumes[id] == nil {
			delete(f.regrants, id)
		}
	}
	for id := range f.Nodes {
		if s.Nodes[id] == nil {
			delete(f.Nodes, id)
			delete(f.silentAt, id)
		}
	}
}

// fencedMember reports whether a member of the in-sync list is fenced in the current epoch.
func fencedMember(v *raft.Volume) bool {
	for _, l := range v.Legs {
		if l.State == volume.LegInSync && l.FencedEpoch == v.Epoch {
			return true
		}
	}
	return false
}
