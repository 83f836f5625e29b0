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
	Nodes   map[volume.NodeID]*NodeFact
	Engines map[volume.AttachID]*EngineFact

	restarts map[string]*failures          // of domains, by name
	regrants map[volume.ID]*failures       // of engines, by volume
	grants   map[volume.AttachID]time.Time // current attachments, when they were first seen
	detached map[volume.ID]time.Time       // detached volumes, since when they were seen so
	held     map[volume.ID]time.Time       // attached volumes, likewise, whatever engines they had since
	stopped  map[string]time.Time          // stopped domains, likewise
	lost     map[volume.LegID]time.Time    // legs that are lost, likewise
	versions map[volume.NodeID]versionFact // what coordinators say of cluster versions
	known    map[volume.NodeID]time.Time   // nodes, likewise

	progress   map[jobID]jobSeen        // of jobs under way
	operations map[uint64]operationSeen // operations that run, by their number; nil before the first Observe
	drills     map[drillStep]time.Time  // where drills that run are, since when they were seen there
}

// NodeFact is the last heartbeat of a node's daemon.
type NodeFact struct {
	Heard time.Time
	Start uint64 // random, per start of the daemon
	Seq   uint64 // of the last heartbeat of that start
	PID   int
	Knows int // the highest cluster version that its release understands
	// Told is the incarnation whose coordinators heard of every leg on its disks since they were restored.
	Told    volume.ClusterID
	Stores  []StoreFact
	Legs    map[volume.LegID]*LegFact
	Domains map[string]*DomainFact
	Engines map[volume.AttachID]bool     // engines that the daemon has
	Images  map[volume.Digest]*ImageFact // blobs that it is to have and has not
	Looking bool                         // it has yet to find its domains and engines, and names none
	Health  NodeHealth
	earlier uint64 // the start before, whose late heartbeats count no more
}

// StoreFact is the health of one store.
type StoreFact struct {
	ID         volume.StoreID
	Name       string
	TotalBytes int64
	FreeBytes  int64
	Error      string    // why it cannot be used
	Disk       *DiskFact // nil if its node says nothing of it
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
	// DomainReceiving: the guest is taken in from another host, and has not run here yet.
	DomainReceiving DomainState = "receiving"
	DomainRunning   DomainState = "running"
	// DomainPaused: it stands still by order, with its memory, or has yet to be started and is not before it is
	// resumed.
	DomainPaused   DomainState = "paused"
	DomainStopping DomainState = "stopping"
	DomainStopped  DomainState = "stopped" // by order
	DomainExited   DomainState = "exited"  // by itself
	DomainKilled   DomainState = "killed"  // its disk or its host went away; the host starts it again
	DomainFailed   DomainState = "failed"  // it could not be started; the host tries again
)

// over reports whether this run does not go on.
func (s DomainState) over() bool {
	return s == DomainStopped || s == DomainExited || s == DomainKilled || s == DomainFailed
}

// DomainFact is what a host says of one domain.
type DomainFact struct {
	Run   uint64
	State DomainState
	Since time.Time // that it is in this state
	PID   int
	Error string
	Agent string // of a guest that was defined with one: answers, silent
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
	Heard    time.Time     // from the engine itself; zero if never
	Pace     time.Duration // of the engine's own heartbeats, as it was told with the last
	Since    time.Time     // that it is in this state
	Began    time.Time     // its process: what its stages count from
	Node     volume.NodeID
	Volume   volume.ID
	Epoch    volume.Epoch
	AttachID volume.AttachID
	PID      int
	State    EngineState
	Reason   string
	CfgVer   volume.CfgVer
	Exports  []volume.Offer
	Faults   []volume.ExportFault // of exports that do not open
	Legs     []EngineLeg
	Stages   []Stage

	ScrubID    uint64 // the scrub that it is at, zero if none
	ScrubDone  int64  // bytes that were looked at
	Unreadable int64  // requests of the guest that no leg could answer

	Copy *CopyFact // of the volume onto a clone, nil when none is under way

	Build       string // of its program; "" if it does not say
	MemoryBytes int64  // anonymous memory of its process
}

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

	MediumErrors int64 // that this engine saw
	Healed       int64 // blocks that it rewrote
	BannedFor    time.Duration
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

// NewFacts returns empty facts.
func NewFacts() *Facts {
	return &Facts{
		Nodes: map[volume.NodeID]*NodeFact{}, Engines: map[volume.AttachID]*EngineFact{},
		restarts: map[string]*failures{}, regrants: map[volume.ID]*failures{},
		grants: map[volume.AttachID]time.Time{}, detached: map[volume.ID]time.Time{}, held: map[volume.ID]time.Time{},
		stopped: map[string]time.Time{}, lost: map[volume.LegID]time.Time{},
		versions: map[volume.NodeID]versionFact{},
		known:    map[volume.NodeID]time.Time{},
	}
}

// Observe notes what the committed state says that has to be timed, and forgets what it no longer
// names. It is called after every change of the state.
func (f *Facts) Observe(s *raft.State, now time.Time) {
	grants := make(map[volume.AttachID]time.Time, len(s.Volumes))
	held, detached := make(map[volume.ID]time.Time, len(s.Volumes)), make(map[volume.ID]time.Time)
	lost := make(map[volume.LegID]time.Time)
	for _, v := range s.Volumes {
		if v.Attach != nil {
			grants[v.Attach.ID] = firstSeen(f.grants, v.Attach.ID, now)
			held[v.ID] = firstSeen(f.held, v.ID, now)
		} else {
			detached[v.ID] = firstSeen(f.detached, v.ID, now)
		}
		for _, l := range v.Legs {
			if l.State == volume.LegLost {
				lost[l.ID] = firstSeen(f.lost, l.ID, now)
			}
		}
	}
	stopped := make(map[string]time.Time)
	for name, d := range s.Domains {
		if !d.Running {
			stopped[name] = firstSeen(f.stopped, name, now)
		}
	}
	known := make(map[volume.NodeID]time.Time, len(s.Nodes))
	for id := range s.Nodes {
		known[id] = firstSeen(f.known, id, now)
	}
	f.grants, f.held, f.detached = grants, held, detached
	f.stopped, f.lost, f.known = stopped, lost, known
	f.see(s, now)
	f.seeDrills(s, now)
	f.seeJobs(s, now)
	f.forget(s, now)
}

// forget drops what the state no longer names.
func (f *Facts) forget(s *raft.State, now time.Time) {
	for id, e := range f.Engines {
		if _, current := f.grants[id]; !current && now.Sub(e.Since) > failuresForget {
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
		}
	}
	for id := range f.versions { // a coordinator is heard before it registers
		if s.Nodes[id] == nil && now.Sub(f.versions[id].heard) > failuresForget {
			delete(f.versions, id)
		}
	}
}

// firstSeen returns since when a node has been watched.
func (f *Facts) firstSeen(id volume.NodeID) time.Time { return f.known[id] }

// silentSince returns since when nothing was heard of a node's daemon, as far as that was watched.
func (f *Facts) silentSince(id volume.NodeID) time.Time {
	if n := f.Nodes[id]; n != nil {
		return later(n.Heard, f.known[id])
	}
	return f.known[id]
}

func firstSeen[K comparable](seen map[K]time.Time, key K, now time.Time) time.Time {
	if t, ok := seen[key]; ok {
		return t
	}
	return now
}

// EngineFailures returns how many engines of a volume have failed in a row, and why the last did.
func (f *Facts) EngineFailures(id volume.ID) (int, string) {
	n := f.regrants[id]
	if n == nil {
		return 0, ""
	}
	for _, e := range f.Engines {
		if e.AttachID.String() == n.mark {
			return n.count, e.Reason
		}
	}
	return n.count, ""
}
