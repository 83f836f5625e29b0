package api

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// Cluster is the cluster as a whole.
type Cluster struct {
	Name         string `json:"name"`
	ID           string `json:"id"`
	Incarnation  string `json:"incarnation" doc:"changes with every restore"`
	Generation   uint32 `json:"generation" doc:"grows with every restore, and every promotion"`
	Leader       string `json:"leader" doc:"name of the node that leads, empty if this node knows of none"`
	Coordinators int    `json:"coordinators"`
	Nodes        int    `json:"nodes"`
	Volumes      int    `json:"volumes"`
	Domains      int    `json:"domains"`
	// OverProvision is how much of what a store can hold may be promised to thin legs.
	OverProvision int    `json:"over_provision_percent" doc:"of what a store can hold, that may be promised to legs"`
	Revision      uint64 `json:"revision" doc:"of the coordinators' state, as this node has it"`

	ReplaceAfter ReplaceAfter `json:"replace_after" doc:"of volumes that do not say it themselves"`

	Version         int      `json:"version" doc:"cluster version: which commands and rules are in use"`
	NextVersion     int      `json:"next_version" doc:"the highest that every coordinator understands"`
	VersionWaitsFor []string `json:"version_waits_for" doc:"coordinators that know no higher one, or are silent"`
}

// NodeState is what a node looks like from the leader.
type NodeState string

// The states of a node.
const (
	NodeUp       NodeState = "up"       // its heartbeats arrive
	NodeDown     NodeState = "down"     // they do not
	NodePending  NodeState = "pending"  // registered under a name that another node has
	NodeRetiring NodeState = "retiring" // its legs are being moved away
	NodeDrained  NodeState = "drained"  // it stays a member, but its legs are moved away and it gets no new ones
)

// Node is one machine of the cluster.
type Node struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Roles  []string  `json:"roles"`
	State  NodeState `json:"state" enum:"up,down,pending,retiring,drained"`
	PID    int       `json:"pid" doc:"of its daemon, 0 if it was never heard of"`
	Addr   string    `json:"addr" doc:"host:port of its HTTPS listener"`
	Leader bool      `json:"leader"`
	Zone   string    `json:"zone" doc:"where it stands; empty is not known"`
	Rack   string    `json:"rack" doc:"within the zone; empty is not known"`
}

// NodeDetail is a node with what is on it.
type NodeDetail struct {
	Node
	LastHeard  *time.Time `json:"last_heard" doc:"null if it was never heard of"`
	ReplacedBy string     `json:"replaced_by,omitempty" doc:"id of the node that takes its place"`
	Stores     []Store    `json:"stores"`
	Legs       []NodeLeg  `json:"legs"`
	Attached   []string   `json:"attached" doc:"names of the volumes that this host holds"`
	Domains    []string   `json:"domains" doc:"names of the domains placed on this host"`
}

// Store is one place for legs.
type Store struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	TotalBytes int64  `json:"total_bytes"`
	FreeBytes  int64  `json:"free_bytes"`
	Promisable int64  `json:"promisable_bytes" doc:"that new legs may still get, in full"`
	Error      string `json:"error,omitempty"`
	Disk       *Disk  `json:"disk,omitempty" doc:"absent while the store is not open"`
}

// NodeLeg is one leg as its storage node sees it, with what it refused.
type NodeLeg struct {
	ID              string `json:"id"`
	Volume          string `json:"volume"`
	State           string `json:"state" doc:"ok, missing, bad, quarantined or unknown"`
	Error           string `json:"error,omitempty"`
	FenceEpoch      uint64 `json:"fence_epoch"`
	UsedBytes       int64  `json:"used_bytes"`
	Sessions        int    `json:"sessions"`
	ReadMicros      int64  `json:"read_micros" doc:"of the latest check read of its data"`
	RefusedLogins   uint64 `json:"refused_logins" doc:"logins with an old epoch, since the daemon's start"`
	RefusedCommands uint64 `json:"refused_commands" doc:"commands refused by the closed gate, since then"`
}

// Volume is one set.
type Volume struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	SizeBytes  int64             `json:"size_bytes"`
	Layout     string            `json:"layout"`
	Durability volume.Durability `json:"durability"`
	// State is provisioning, filling, detached, attaching, attached, frozen or deleting.
	State      string      `json:"state" doc:"provisioning, filling, detached, attaching, attached, frozen …"`
	Health     Status      `json:"health" enum:"healthy,degraded,at_risk,down"`
	Epoch      uint64      `json:"epoch"`
	CfgVer     uint64      `json:"cfgver"`
	Attachment *Attachment `json:"attachment" doc:"null when nobody holds it"`
	Legs       []Leg       `json:"legs"`
	CreatedAt  time.Time   `json:"created_at"`
	Spread     string      `json:"spread" doc:"what no two legs may share: zone, rack, node; else empty"`
	Apart      []string    `json:"apart_from" doc:"volumes with whose legs its own share no node"`

	UnflushedLoss string `json:"unflushed_loss" doc:"when only legs that lost their cache are left: wait or accept"`

	ReplaceAfter ReplaceAfter `json:"replace_after"`
	Limit        Limit        `json:"limit" doc:"of its guest's reads and writes"`
	// Exports are settings; what there is now stands in Attachment.
	Exports []ExportSetting `json:"exports" doc:"that it has beside NBD on a unix socket, when it is attached"`

	ScrubEverySeconds int64        `json:"scrub_every_seconds" doc:"how often it is scrubbed by itself, 0 is never"`
	Scrub             *Scrub       `json:"scrub" doc:"the one that is wanted or under way, null if none is"`
	LastScrub         *ScrubResult `json:"last_scrub" doc:"the last that looked at all of it, null if none ever did"`
	StoppedScrub      *ScrubResult `json:"stopped_scrub,omitempty" doc:"one that was stopped since then"`
	LastDrill         *LastDrill   `json:"last_drill" doc:"in which it took part, null if none is remembered"`
	Clone             *Clone       `json:"clone" doc:"null for one that was not made as a copy of another"`
}

// Scrub is a scrub that is wanted: every block of every leg in sync is read from its medium and compared.
type Scrub struct {
	ID         uint64    `json:"id" doc:"counts the volume's scrubs"`
	By         string    `json:"by" enum:"operator,schedule"`
	At         time.Time `json:"at" doc:"when it was asked for"`
	RateBytes  int64     `json:"rate_bytes,omitempty" doc:"of the volume a second; 0 is the default"`
	Running    bool      `json:"running" doc:"an engine is at it; else it goes on when the volume is attached"`
	DoneBytes  int64     `json:"done_bytes"`
	TotalBytes int64     `json:"total_bytes"`
	Progress   float64   `json:"progress" minimum:"0" maximum:"1"`
}

// ScrubResult is what a scrub found. Counts are of blocks of 4 KiB.
type ScrubResult struct {
	ID         uint64        `json:"id"`
	By         string        `json:"by" enum:"operator,schedule"`
	At         time.Time     `json:"at" doc:"when it was asked for"`
	FinishedAt time.Time     `json:"finished_at"`
	Complete   bool          `json:"complete" doc:"it looked at all of the volume"`
	Bytes      int64         `json:"bytes" doc:"of the volume that it looked at"`
	Bad        int64         `json:"bad" doc:"blocks that a leg could not read, or that were not what they had to be"`
	Healed     int64         `json:"healed" doc:"of these, blocks that were rewritten from another leg"`
	Diverged   int64         `json:"diverged" doc:"blocks that legs differ in, with nothing to tell which is right"`
	Unreadable int64         `json:"unreadable" doc:"blocks that no leg in sync can read"`
	Legs       []ScrubbedLeg `json:"legs" doc:"those with bad blocks"`
	Ranges     []ByteRange   `json:"ranges" doc:"the first that diverged"`
}

// Clean reports whether nothing stays that a scrub could not heal.
func (r ScrubResult) Clean() bool { return r.Diverged == 0 && r.Unreadable == 0 }

// ScrubbedLeg is what a scrub found on one leg.
type ScrubbedLeg struct {
	ID     string `json:"id"`
	Node   string `json:"node" doc:"empty when the leg is no longer part of the volume"`
	Bad    int64  `json:"bad"`
	Healed int64  `json:"healed"`
}

// ByteRange is a part of a volume.
type ByteRange struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// Attachment is the current grant of a volume.
type Attachment struct {
	Host        string   `json:"host"`
	Epoch       uint64   `json:"epoch"`
	EnginePID   int      `json:"engine_pid" doc:"0 until the engine is heard of"`
	EngineState string   `json:"engine_state" doc:"connecting, serving, held, fenced, failed, detached, unknown"`
	Maintenance bool     `json:"maintenance,omitempty" doc:"without export, to bring legs in sync"`
	Filling     bool     `json:"filling,omitempty" doc:"of a clone, by its host, to be filled"`
	Exports     []Export `json:"exports"`
	// ExportFaults are rare.
	ExportFaults []ExportFault `json:"export_faults,omitempty" doc:"exports that do not open"`
	Stages       []Stage       `json:"stages,omitempty" doc:"milestones of the attach"`
}

// Stage is one timed step of an attach, from the engine's start.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Leg is one leg of a volume.
type Leg struct {
	ID        string          `json:"id"`
	Node      string          `json:"node"`
	State     volume.LegState `json:"state" enum:"in_sync,stale,rebuilding,lost,quarantined"`
	CfgVer    uint64          `json:"cfgver" doc:"of its label as last reported, or when it was last in sync"`
	Progress  float64         `json:"progress" minimum:"0" maximum:"1" doc:"towards in sync; 1 when it is"`
	Condition string          `json:"condition" doc:"ok, missing, bad, quarantined, unreachable, unknown"`
	Error     string          `json:"error,omitempty"`
	Retiring  bool            `json:"retiring,omitempty" doc:"leaves once its replacement is in sync"`
	DoneBytes int64           `json:"done_bytes,omitempty" doc:"of the copy that runs"`
	CopyBytes int64           `json:"copy_bytes,omitempty" doc:"that the copy has in all"`

	SetBack       bool    `json:"set_back,omitempty" doc:"showed an older state than it had; it is copied in full"`
	MediumErrors  int64   `json:"medium_errors,omitempty" doc:"that the engine of this attachment saw"`
	Healed        int64   `json:"healed,omitempty" doc:"blocks that this engine rewrote from another leg"`
	BannedSeconds float64 `json:"banned_seconds,omitempty" doc:"until it is tried again after it failed repeatedly"`
}

// Export is one way to reach an attached volume on its host.
type Export struct {
	Type string `json:"type" doc:"nbd, iscsi or nbd-tls"`
	URL  string `json:"url"`
	// BoundURL is for a guest that connects again by itself.
	BoundURL string `json:"bound_url,omitempty" doc:"refused once the volume was elsewhere or lost writes"`
}

// Attached is the answer to an attach: the volume serves.
type Attached struct {
	Volume  string   `json:"volume"`
	Host    string   `json:"host"`
	Epoch   uint64   `json:"epoch"`
	Exports []Export `json:"exports"`
	Stages  []Stage  `json:"stages,omitempty"`
}

// Domain is one guest.
type Domain struct {
	Name      string     `json:"name"`
	Host      string     `json:"host" doc:"where it is placed, empty when it is stopped"`
	State     string     `json:"state" doc:"stopped, starting, running, paused, stopping, exited, killed, failed"`
	Paused    bool       `json:"paused,omitempty" doc:"its guest is to stand still, see pause"`
	Agent     string     `json:"agent,omitempty" doc:"of a guest that was defined with one: answers or silent"`
	PID       int        `json:"pid"`
	Run       uint64     `json:"run" doc:"grows with every start and move"`
	Operation string     `json:"operation,omitempty" doc:"id of the failover that moves it now"`
	LastDrill *LastDrill `json:"last_drill" doc:"null if none is remembered"`
	Error     string     `json:"error,omitempty"`
	Timers    []WhyTimer `json:"timers,omitempty" doc:"clocks that run for it, soonest first; not in lists"`
	Spec      DomainSpec `json:"spec"`
	// What its files that are images are pinned to is in Spec.
	Boots     []string `json:"boots,omitempty" doc:"images that it runs with, whatever it is pinned to since"`
	RollsBack []string `json:"rolls_back_to,omitempty" doc:"images that a rollback would pin it to; absent if to none"`
}

// Status sums up how well something is.
type Status string

// The statuses, best first.
const (
	Healthy  Status = "healthy"   // everything is as wanted
	Degraded Status = "degraded"  // a node or redundancy is missing; one more failure is survived
	AtRisk   Status = "at_risk"   // the next failure may stop something or lose data
	Down     Status = "down"      // something does not serve that should
	NoQuorum Status = "no_quorum" // the coordinators cannot decide; what serves goes on until a leg fails
)

// Health says what is wrong, why, and what happens next.
type Health struct {
	Status   Status    `json:"status" enum:"healthy,degraded,at_risk,down,no_quorum"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Severity string    `json:"severity" enum:"info,warning,error"`
	Status   Status    `json:"status" doc:"what this finding alone makes of the cluster"`
	Object   string    `json:"object" doc:"volume/web1, leg/<id>, node/n2, domain/web1 or cluster"`
	Kind     string    `json:"kind" doc:"short and stable, for programs"`
	Message  string    `json:"message"`
	Cause    string    `json:"cause,omitempty"`
	Next     string    `json:"next" doc:"what happens next, or what to do"`
	Since    time.Time `json:"since"`
	Progress float64   `json:"progress,omitempty" doc:"0 to 1, of a repair that runs"`
}

// Event is one thing that happened.
type Event struct {
	Seq      uint64    `json:"seq"`
	Time     time.Time `json:"time"`
	Severity string    `json:"severity" enum:"info,warning,error"`
	Object   string    `json:"object"`
	Kind     string    `json:"kind"`
	Message  string    `json:"message"`
}

// The states of an operation.
const (
	OperationRunning = "running"
	OperationDone    = "done"
	OperationFailed  = "failed"
)

// Operation is the progress of long work. It is computed from the state, so it goes on when nobody
// watches, and asking for the same work again watches it again.
type Operation struct {
	ID        string  `json:"id" doc:"names it to GET /v1/operations/{id}; empty in the progress of a verb"`
	Verb      string  `json:"verb" doc:"replace, remove, drain, rebalance, scrub, clone, failover or takeover"`
	Object    string  `json:"object" doc:"node/n2, volume/web1, domain/web1 or cluster"`
	State     string  `json:"state" enum:"running,done,failed,superseded,cancelled"`
	LegsDone  int     `json:"legs_done"`
	LegsTotal int     `json:"legs_total"`
	DoneBytes int64   `json:"done_bytes"`
	CopyBytes int64   `json:"copy_bytes"`
	Progress  float64 `json:"progress"`
	Message   string  `json:"message"`
	Error     *Error  `json:"error,omitempty"`

	Scrub    *ScrubResult `json:"scrub,omitempty" doc:"of a scrub that is over"`
	Failover *Failover    `json:"failover,omitempty" doc:"of the verbs failover and takeover"`
}
