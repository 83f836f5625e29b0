package api

import "context"

// Service is what the leading coordinator offers. Every method may block until the thing is done,
// unless its request says NoWait, and returns when ctx ends; errors are *Error wherever the cause
// is known. Results belong to the caller.
type Service interface {
	TrustService
	ImageService

	// Cluster describes the cluster.
	Cluster(ctx context.Context) (Cluster, error)
	// UpgradeCluster uses the newest cluster version that every coordinator understands.
	UpgradeCluster(ctx context.Context) (Cluster, error)
	// Health judges the cluster now.
	Health(ctx context.Context) (Health, error)
	// Why explains an object down to the root of what is wrong with it.
	Why(ctx context.Context, object string) (Why, error)
	// Events calls emit for every event above after, oldest first, and with follow for those to
	// come until ctx ends or emit fails.
	Events(ctx context.Context, after uint64, follow bool, emit func(Event) error) error
	// Operations lists the long work that runs, and the latest failovers that ended, oldest first.
	Operations(ctx context.Context) ([]Operation, error)
	// Operation shows one operation by its id.
	Operation(ctx context.Context, id string) (Operation, error)

	// Nodes lists the nodes.
	Nodes(ctx context.Context) ([]Node, error)
	// Node shows one node by name or id.
	Node(ctx context.Context, name string) (NodeDetail, error)
	// Plan says what a verb would do, and changes nothing.
	Plan(ctx context.Context, r PlanRequest) (Plan, error)
	// Rebalance moves legs until stores are even and volumes are spread, and reports progress to emit. While
	// that goes on already it joins it.
	Rebalance(ctx context.Context, r Wait, emit func(Operation) error) error
	// StopRebalance begins no more moves; those under way go on.
	StopRebalance(ctx context.Context) error
	// SetNode changes what is known of a node.
	SetNode(ctx context.Context, name string, r SetNode) (Node, error)
	// SetCluster changes settings of the cluster.
	SetCluster(ctx context.Context, r SetCluster) (Cluster, error)
	// ReplaceNode gives a node's legs, vote and place to another one and reports progress to emit.
	ReplaceNode(ctx context.Context, old string, r ReplaceNode, emit func(Operation) error) error
	// RemoveNode moves a node's legs to others and forgets it; it reports progress to emit.
	RemoveNode(ctx context.Context, name string, r Wait, emit func(Operation) error) error
	// DrainNode moves everything away from a node, which stays a member; it reports progress to emit.
	DrainNode(ctx context.Context, name string, r Wait, emit func(Operation) error) error
	// UndrainNode ends the draining or removal of a node.
	UndrainNode(ctx context.Context, name string) (Node, error)
	// SetReplaceAfter sets how long a leg cannot be reached before another takes its place.
	SetReplaceAfter(ctx context.Context, r SetReplaceAfter) (ReplaceAfter, error)

	// Volumes lists the volumes.
	Volumes(ctx context.Context) ([]Volume, error)
	// Volume shows one volume by name or id.
	Volume(ctx context.Context, name string) (Volume, error)
	// CreateVolume makes a volume and returns it once all its legs are provisioned.
	CreateVolume(ctx context.Context, r CreateVolume) (Volume, error)
	// CloneVolumes makes copies of volumes, and reports progress to emit until all were cut at one moment and are
	// detached. Asked for clones that are being filled already, as it makes them, it reports on those.
	CloneVolumes(ctx context.Context, r CloneVolumes, emit func(Operation) error) error
	// SetVolume changes settings of a volume; all but its exports also of one that is attached.
	SetVolume(ctx context.Context, name string, r SetVolume) (Volume, error)
	// ExportSecrets tells what guests have to prove to use the exports of a volume that ask for it.
	ExportSecrets(ctx context.Context, name string) ([]ExportSecret, error)
	// IssueCredential signs a credential, by which who has its key uses the exports of a volume from another machine.
	IssueCredential(ctx context.Context, name string, r IssueCredential) (Credential, error)
	// RevokeCredentials takes back every credential of a volume.
	RevokeCredentials(ctx context.Context, name string) error
	// DeleteVolume deletes a detached volume and its data.
	DeleteVolume(ctx context.Context, name string, r Wait) error
	// AttachVolume grants a volume to a host and returns when it serves there.
	AttachVolume(ctx context.Context, name string, r AttachVolume) (Attached, error)
	// DetachVolume ends an attachment cleanly.
	DetachVolume(ctx context.Context, name string, r Wait) error
	// ScrubVolume scrubs an attached volume, or joins the scrub that runs, and reports progress to emit;
	// the last report has the result.
	ScrubVolume(ctx context.Context, name string, r ScrubVolume, emit func(Operation) error) error
	// StopScrub gives the scrub up that runs and returns what it found, nil if none runs.
	StopScrub(ctx context.Context, name string) (*ScrubResult, error)

	// UnfreezeVolume lets a frozen volume be attached again, once all of its legs have answered.
	UnfreezeVolume(ctx context.Context, name string, r Unfreeze) (Volume, error)
	// PromoteLeg lets a volume go on from one leg alone.
	PromoteLeg(ctx context.Context, name string, r Promote) (Volume, error)
	// Backup returns a backup of the coordinators' state, with its secrets.
	Backup(ctx context.Context) ([]byte, error)
	// EndRestore says that every leg was found after a restore: volumes go on, and legs that nobody knows are only
	// kept. It is refused while storage nodes have not told what is on their disks, unless that is accepted.
	EndRestore(ctx context.Context, r EndRestore) error

	// Domains lists the domains.
	Domains(ctx context.Context) ([]Domain, error)
	// Domain shows one domain.
	Domain(ctx context.Context, name string) (Domain, error)
	// DefineDomain adds a domain, or changes one that is stopped.
	DefineDomain(ctx context.Context, spec DomainSpec) (Domain, error)
	// DeleteDomain forgets a stopped domain; its volumes stay.
	DeleteDomain(ctx context.Context, name string) error
	// StartDomain starts a domain on the first of its hosts that lives.
	StartDomain(ctx context.Context, name string, r Wait) (Domain, error)
	// StopDomain stops a domain and detaches its volumes.
	StopDomain(ctx context.Context, name string, r Wait) (Domain, error)
	// PauseDomain has the guest of a domain stand still where it is, with its memory.
	PauseDomain(ctx context.Context, name string, r Wait) (Domain, error)
	// ResumeDomain has it go on; one whose guest was lost meanwhile starts it anew.
	ResumeDomain(ctx context.Context, name string, r Wait) (Domain, error)
	// FailoverDomain moves a domain to another host, taking its volumes over.
	FailoverDomain(ctx context.Context, name string, r FailoverDomain) (Domain, error)
	// MigrateDomain moves a domain's guest to another host while it runs.
	MigrateDomain(ctx context.Context, name string, r MigrateDomain) (Domain, error)
	// AbortMigration has the guest of a domain that is migrated stay where it is. Once it has moved it is refused.
	AbortMigration(ctx context.Context, name string) (Domain, error)
	// Console calls emit for what the guest of a domain writes to its console, wherever it runs, until the domain
	// stops, somebody else takes the console, ctx ends or emit fails.
	Console(ctx context.Context, name string, r OpenConsole, emit func(ConsoleOutput) error) error
	// TypeConsole types on the console of a guest, for the session that has it.
	TypeConsole(ctx context.Context, name string, r TypeConsole) error
	// DrillDomain begins a fire drill of a domain and returns as soon as it is decided.
	DrillDomain(ctx context.Context, name string, r DrillDomain) (Drill, error)
	// Drills lists the fire drills that run, and the latest that ended, oldest first.
	Drills(ctx context.Context) ([]Drill, error)
	// Drill shows one fire drill by its id.
	Drill(ctx context.Context, id string) (Drill, error)
}

// Wait says whether a verb waits until the thing is done. It travels as the query parameter no_wait.
type Wait struct {
	NoWait bool `json:"-"` // answer as soon as it is decided
}

// CreateVolume asks for a volume.
type CreateVolume struct {
	// ID is chosen by the caller, so that a request repeated after a lost answer makes one volume.
	ID            string   `json:"id,omitempty" doc:"a fresh UUID; chosen by the server if empty"`
	Name          string   `json:"name" maxLength:"63"`
	SizeBytes     int64    `json:"size_bytes"`
	Layout        string   `json:"layout" example:"mirror=2"`
	Durability    string   `json:"durability,omitempty" doc:"flush (default) or sync"`
	UnflushedLoss string   `json:"unflushed_loss,omitempty" doc:"wait (default) or accept"`
	LegsOn        []string `json:"legs_on,omitempty" doc:"storage nodes to use, one for each leg"`
	Spread        string   `json:"spread,omitempty" doc:"zone, rack or node: refuse if two legs would share one"`
	ApartFrom     []string `json:"apart_from,omitempty" doc:"volumes with whose legs it shall share no node"`
	// ScrubEverySeconds is a pointer since never (0) is not the default.
	ScrubEverySeconds *int64 `json:"scrub_every_seconds,omitempty" doc:"default 30 days; 0 is never"`
	// Limit is none by default.
	Limit *SetLimit `json:"limit,omitempty" doc:"how fast its guest may read and write it"`
	Wait
}

// ScrubVolume asks for a scrub.
type ScrubVolume struct {
	// Request is chosen by the caller, so that a request repeated after a lost answer is one scrub.
	Request   string `json:"request,omitempty" doc:"a fresh UUID; chosen by the server if empty"`
	RateBytes int64  `json:"rate_bytes,omitempty" minimum:"0" doc:"of the volume a second; 0 is the default"`
	Wait
}

// AttachVolume asks for a volume on a host.
type AttachVolume struct {
	Host       string `json:"host"`
	Takeover   bool   `json:"takeover,omitempty" doc:"take it from the host that holds it, which is fenced"`
	AcceptLoss bool   `json:"accept_loss,omitempty" doc:"this once, although un-flushed writes may be lost"`
	Wait
}

// ReplaceNode asks to replace a node.
type ReplaceNode struct {
	New string `json:"new" doc:"name or id of the node that takes its place; the same name is allowed"`
	Wait
}

// MigrateDomain asks to move a guest that runs.
type MigrateDomain struct {
	To string `json:"to,omitempty" doc:"host; empty chooses the next of its hosts that lives"`
	Wait
}

// FailoverDomain asks to move a domain.
type FailoverDomain struct {
	To string `json:"to,omitempty" doc:"host; empty chooses the next of its hosts that lives"`
	Wait
}
