package peer

import (
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Version is the version of this protocol; both sides send it and refuse another.
const Version = 1

// The paths, all under the node's HTTPS listener.
const (
	PathHeartbeat       = "/peer/v1/heartbeat"        // POST Heartbeat -> HeartbeatReply, to every coordinator
	PathStill           = "/peer/v1/still"            // POST Still -> HeartbeatReply, to who keeps heartbeats
	PathEngineHeartbeat = "/peer/v1/engine-heartbeat" // POST EngineHeartbeat -> HeartbeatReply, to every coordinator
	PathRegister        = "/peer/v1/register"         // POST raft.RegisterNode -> raft.Result
	PathAssignment      = "/peer/v1/assignment"       // GET ?node=&after=REV -> Assignment; waits
	PathTicket          = "/peer/v1/ticket"           // GET ?volume=&attach=&after=REV -> Ticket; waits; 410 = over
	PathCommand         = "/peer/v1/command"          // POST raft.Command, of an engine or a node -> raft.Result
	PathRenew           = "/peer/v1/renew"            // POST, with the certificate to renew -> Renewed
	PathGone            = "/peer/v1/gone"             // POST Gone -> Gone; the leader alone answers

	// PathConsole is served by hosts, for coordinators alone: GET with a ConsoleQuery answers a stream of
	// api.ConsoleOutput, a line each; POST ?domain= with an api.TypeConsole answers Typed.
	PathConsole = "/peer/v1/console"

	// PathMigrate is served by hosts, for the host alone that an order names: POST ?domain=&operation= with the
	// protocol UpgradeMigrate becomes the stream of a guest's state, both ways. PathMigrated GET ?domain=&operation=
	// answers MigratedReply.
	PathMigrate  = "/peer/v1/migrate"
	PathMigrated = "/peer/v1/migrated"
)

// Gone are volumes that a host asks about, at most GoneMax, and those of them that there are no more: they were
// deleted, and no volume will ever have their ids.
type Gone struct {
	Volumes []volume.ID `json:"volumes"`
}

// GoneMax bounds Gone.Volumes.
const GoneMax = 1000

// UpgradeMigrate is the protocol that a connection is upgraded to for a guest's state.
const UpgradeMigrate = "holdfast-migrate"

// MigratedReply says whether a host has a guest that is sent to it as a whole.
type MigratedReply struct {
	Loaded bool   `json:"loaded"`
	Error  string `json:"error,omitempty"` // why it never will be
}

// WatchWait is how long the coordinator holds a watch open when nothing changes.
const WatchWait = 10 * time.Second

// Heartbeat is a node daemon's sign of life, with all that health is judged by.
type Heartbeat struct {
	Version int            `json:"version"`
	Node    volume.NodeID  `json:"node"`
	Start   uint64         `json:"start"` // random, per start of the daemon
	Seq     uint64         `json:"seq"`   // grows with every heartbeat of one start
	PID     int            `json:"pid"`
	Stores  []StoreStatus  `json:"stores,omitempty"`
	Engines []EngineStatus `json:"engines,omitempty"`
	Domains []DomainStatus `json:"domains,omitempty"`
	// Looking: the daemon was started just now and has not found yet what runs there. That it names no engine and no
	// domain says nothing.
	Looking bool       `json:"looking,omitempty"`
	Health  NodeHealth `json:"health,omitzero"`
	// Knows is the highest cluster version that the node's release understands; zero is the first.
	Knows int `json:"knows,omitempty"`
	// Told is the incarnation whose coordinators were told of every leg on the node's disks that they do not know,
	// while they want to be (Assignment.Adopt); zero while a store of it cannot be read.
	Told volume.ClusterID `json:"told,omitzero"`
	// Images are the blobs that the node is to have and has not.
	Images []ImageStatus `json:"images,omitempty"`
}

// EngineHeartbeat is an engine's own sign of life: it keeps its host alive while the daemon is
// being restarted.
type EngineHeartbeat struct {
	Version int           `json:"version"`
	Node    volume.NodeID `json:"node"`
	Engine  EngineStatus  `json:"engine"`
}

// HeartbeatReply tells the sender who leads and how far the state is.
type HeartbeatReply struct {
	Leader volume.NodeID `json:"leader"` // zero when this coordinator knows of none
	// LeaderAPI is its address, host:port: whoever is told may know other coordinators only. Empty if this one does
	// not know it, and from a release that did not say it.
	LeaderAPI string `json:"leader_api,omitempty"`
	Revision  uint64 `json:"revision"`
	Lineage
	// Keeps: the coordinator has the node's last whole heartbeat, and takes a Still in place of the next. False
	// from a release that knew of none.
	Keeps bool `json:"keeps,omitempty"`
	// Pace is how often an engine is to send its heartbeats while it serves; zero is as often as it would.
	Pace time.Duration `json:"pace,omitempty"`
	At   time.Time     `json:"at,omitzero"` // by the clock of the coordinator that answers

	// What the caller knows of the exchange: who answered, and when by its own clock.
	From           volume.NodeID `json:"-"`
	Sent, Received time.Time     `json:"-"`
}

// leader is the coordinator that the reply names.
func (r HeartbeatReply) leader() Peer { return Peer{ID: r.Leader, API: r.LeaderAPI} }

// StoreStatus is the health of one store and of every leg on it, from real reads.
type StoreStatus struct {
	ID         volume.StoreID `json:"id"`
	Name       string         `json:"name"`
	TotalBytes int64          `json:"total_bytes"`
	FreeBytes  int64          `json:"free_bytes"`
	Error      string         `json:"error,omitempty"` // why the store cannot be used
	Disk       *DiskStatus    `json:"disk,omitempty"`  // nil while the store is not open
	Legs       []LegStatus    `json:"legs"`
}

// LegStatus is what a storage node sees of one of its legs.
type LegStatus struct {
	ID         volume.LegID  `json:"id"`
	Volume     volume.ID     `json:"volume"`
	State      LegCondition  `json:"state"`
	Error      string        `json:"error,omitempty"`
	FenceEpoch volume.Epoch  `json:"fence_epoch"`
	CfgVer     volume.CfgVer `json:"cfgver"`
	Sessions   int           `json:"sessions"`
	ReadMicros int64         `json:"read_micros"` // of the latest check read of data
	UsedBytes  int64         `json:"used_bytes"`
	// Since the daemon's start:
	RefusedLogins   uint64 `json:"refused_logins"`   // logins with an epoch below the label's
	RefusedCommands uint64 `json:"refused_commands"` // commands that the closed gate refused
}

// LegCondition is what a storage node can say of a leg's data.
type LegCondition string

// The conditions of a leg on its node.
const (
	LegOK          LegCondition = "ok"          // label and data read well
	LegMissing     LegCondition = "missing"     // provisioned according to raft, but not there
	LegBad         LegCondition = "bad"         // label or data cannot be read, or an fsync failed
	LegQuarantined LegCondition = "quarantined" // there, but raft does not know it: kept, not served
)

// EngineState is what an engine does.
type EngineState string

// The states of an engine.
const (
	EngineConnecting EngineState = "connecting" // fencing legs, waiting for Activate
	EngineServing    EngineState = "serving"    // the export answers
	EngineHeld       EngineState = "held"       // serving, but acks wait for a coordinator or a leg
	EngineFenced     EngineState = "fenced"     // superseded; it serves nothing any more
	EngineFailed     EngineState = "failed"     // it cannot go on; see Reason
	EngineDetached   EngineState = "detached"   // detached; the process is about to end
)

// EngineStatus is an engine's view of its set.
type EngineStatus struct {
	Volume   volume.ID       `json:"volume"`
	Epoch    volume.Epoch    `json:"epoch"`
	AttachID volume.AttachID `json:"attach_id"`
	PID      int             `json:"pid"`
	State    EngineState     `json:"state"`
	Reason   string          `json:"reason,omitempty"`
	CfgVer   volume.CfgVer   `json:"cfgver"`
	Exports  []volume.Offer  `json:"exports,omitempty"`
	Legs     []EngineLeg     `json:"legs"`
	// Faults are the exports that do not open.
	Faults []volume.ExportFault `json:"export_faults,omitempty"`
	// Milestones of the attach, for the operation's table: nanoseconds from the engine's start, which was
	// Uptime ago.
	Stages []Stage       `json:"stages,omitempty"`
	Uptime time.Duration `json:"uptime,omitempty"`
	Scrub  *ScrubStatus  `json:"scrub,omitempty"` // the one under way
	Copy   *CopyStatus   `json:"copy,omitempty"`  // of the volume onto a clone
	// Unreadable counts requests of the guest that no leg could answer.
	Unreadable int64 `json:"unreadable,omitempty"`
	// Build is the build of the engine's program, MemoryBytes the anonymous memory of its process.
	Build       string `json:"build,omitempty"`
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
}

// ScrubStatus is how far a scrub is.
type ScrubStatus struct {
	ID    uint64 `json:"id"`
	Done  int64  `json:"done_bytes"` // bytes below this were looked at
	Total int64  `json:"total_bytes"`
}

// Stage is one timed step of an attach.
type Stage struct {
	Name string        `json:"name"` // "fenced", "activated", "configured", "serving", "first_read"
	At   time.Duration `json:"at"`
}

// EngineLeg is one leg as the engine sees it.
type EngineLeg struct {
	ID        volume.LegID `json:"id"`
	State     string       `json:"state"` // in_sync, joining, connecting, down, lost
	Error     string       `json:"error,omitempty"`
	CopyDone  int64        `json:"copy_done_bytes"`
	CopyTotal int64        `json:"copy_total_bytes"` // zero when nothing is copied
	// MediumErrors counts what this engine could not read of the leg, Healed the blocks of 4 KiB that it
	// rewrote from another leg and read back.
	MediumErrors int64 `json:"medium_errors,omitempty"`
	Healed       int64 `json:"healed,omitempty"`
	// BannedFor is how long the leg has to wait before it is brought in sync, since it failed again and
	// again.
	BannedFor time.Duration `json:"banned_for,omitempty"`
}

// DomainPaused is the state of a domain whose guest stands still by order, and of one whose disks serve and whose guest
// is not started before it is resumed.
const DomainPaused = "paused"

// DomainStatus is what a host knows of one domain.
type DomainStatus struct {
	Name  string `json:"name"`
	Run   uint64 `json:"run"`
	State string `json:"state"` // starting, receiving, running, paused, stopping, stopped, exited, killed, failed
	PID   int    `json:"pid,omitempty"`
	Error string `json:"error,omitempty"`
	Agent string `json:"agent,omitempty"` // of a guest that was defined with one: answers, silent
}

// Assignment is what one node is to do, computed from the state. A node makes it so and forgets
// what is not in it, except data: that is deleted only by an order.
type Assignment struct {
	Revision uint64 `json:"revision"`
	Lineage
	Former []volume.ClusterID `json:"former,omitempty"` // incarnations before: legs that were made then are good
	// Adopt: legs on the node's disks that have no order are to be reported (raft.AdoptLeg).
	Adopt      bool          `json:"adopt,omitempty"`
	Registered bool          `json:"registered"` // the node is or was known; false = register first
	Legs       []LegOrder    `json:"legs"`
	Attach     []Ticket      `json:"attach"` // volumes whose current grant is this host's
	Domains    []DomainOrder `json:"domains"`
	// Receive are the guests that are to be taken in from other hosts.
	Receive []ReceiveOrder `json:"receive,omitempty"`
	Peers   []Peer         `json:"peers"` // coordinators to talk to
	// Images are the blobs that the node is to have, the most urgent first.
	Images []ImageOrder `json:"images,omitempty"`
	// Clones are the groups of clones that the node is to fill.
	Clones []CloneOrder `json:"clones,omitempty"`
	// Removed are the nodes that left the cluster, at most RemovedMax, the latest: their certificates may still be
	// valid, and are accepted no more.
	Removed []volume.NodeID `json:"removed,omitempty"`
	// Unregistered are those that got a certificate by a join token and have not registered since, at most
	// RemovedMax, the latest: they may register, and nothing else.
	Unregistered []volume.NodeID `json:"unregistered,omitempty"`
}

// Older reports whether an assignment is from before another one of the same node: from coordinators of before a
// restore, whatever their revisions, or of a lower revision of the same coordinators. The revisions of coordinators
// that were restored begin anew.
func (a *Assignment) Older(than *Assignment) bool {
	return a.Generation < than.Generation || a.Incarnation == than.Incarnation && a.Revision < than.Revision
}

// RemovedMax is how many nodes Assignment.Removed and Assignment.Unregistered have at most.
const RemovedMax = 1000

// Renewed is a node's next certificate, for the same key.
type Renewed struct {
	Cert []byte `json:"cert"` // DER
}

// Peer is one coordinator.
type Peer struct {
	ID  volume.NodeID `json:"id"`
	API string        `json:"api"` // host:port
}

// LegOrder tells a storage node what to do with one leg.
type LegOrder struct {
	Leg        volume.LegID      `json:"leg"`
	Store      volume.StoreID    `json:"store"`
	Action     LegAction         `json:"action"`
	Volume     volume.ID         `json:"volume"`
	VolumeName string            `json:"volume_name"`
	SizeBytes  int64             `json:"size_bytes"`
	Layout     volume.Layout     `json:"layout"`
	Slot       int               `json:"slot"`
	Durability volume.Durability `json:"durability"`
	DataGen    volume.UUID       `json:"data_gen"`
	FloorEpoch volume.Epoch      `json:"floor_epoch"` // raft's fenced_epoch: a label below it was rolled back
	// Verify: the label may know more than the coordinators; it is to be reported (raft.NoteLabel).
	Verify bool `json:"verify,omitempty"`
}

// LegAction is what to do with a leg.
type LegAction string

// The actions on a leg.
const (
	LegProvision LegAction = "provision" // make label and empty data, then report LegProvisioned
	LegKeep      LegAction = "keep"      // serve it; if it is missing report LegLost, never make it again
	LegDelete    LegAction = "delete"    // a tombstone allows to delete it, then report LegDeleted
)

// Ticket is everything an engine needs to attach a volume. It holds secrets: it travels over mutual
// TLS and on the engine's standard input, and is never written to a disk or a log.
type Ticket struct {
	Revision    uint64             `json:"revision"`
	Incarnation volume.ClusterID   `json:"incarnation"`
	Generation  uint32             `json:"restore_gen,omitempty"`
	Former      []volume.ClusterID `json:"former,omitempty"` // see Assignment
	Volume      volume.ID          `json:"volume"`
	Name        string             `json:"name"`
	SizeBytes   int64              `json:"size_bytes"`
	Layout      volume.Layout      `json:"layout"`
	Durability  volume.Durability  `json:"durability"`
	Epoch       volume.Epoch       `json:"epoch"`
	AttachID    volume.AttachID    `json:"attach_id"`
	Maintenance bool               `json:"maintenance,omitempty"`
	// Detach asks the engine to flush, detach cleanly and end.
	Detach bool          `json:"detach,omitempty"`
	Config volume.Config `json:"config"`
	TRead  time.Duration `json:"t_read"`
	Legs   []TicketLeg   `json:"legs"`
	Peers  []Peer        `json:"peers,omitempty"` // coordinators to talk to; none = those known before
	Scrub  *ScrubOrder   `json:"scrub,omitempty"` // nil = none is wanted
	Limit  volume.Limit  `json:"limit,omitzero"`  // of the guest's reads and writes
	// Exports are those that the volume has beside NBD on the unix socket, with their secrets.
	Exports []volume.ExportSetting `json:"exports,omitempty"`
	// Credentials is the series of the guests' credentials that are good; zero = none is.
	Credentials volume.UUID `json:"credentials,omitzero"`
}

// ScrubOrder tells an engine to scrub its volume.
type ScrubOrder struct {
	ID   uint64 `json:"id"`             // names the scrub in its report
	Rate int64  `json:"rate,omitempty"` // bytes of the volume a second; zero = the engine's default
	From int64  `json:"from,omitempty"` // bytes below this were looked at before
}

// TicketLeg is one leg of a ticket.
type TicketLeg struct {
	ID       volume.LegID    `json:"id"`
	Node     string          `json:"node"` // its node's name, for messages
	Portal   string          `json:"portal"`
	Store    volume.StoreID  `json:"store"`
	Slot     int             `json:"slot"`
	State    volume.LegState `json:"state"`
	Secret   string          `json:"secret"`   // CHAP secret of this attachment
	Since    volume.CfgVer   `json:"since"`    // last_isr_cfg: what it missed is newer
	Join     bool            `json:"join"`     // bring it in sync when it can be reached
	Retiring bool            `json:"retiring"` // remove it once the leg that replaces it is in sync
	Replaces volume.LegID    `json:"replaces,omitzero"`
}

// DomainOrder tells a host to run a domain.
type DomainOrder struct {
	Name    string          `json:"name"`
	Run     uint64          `json:"run"`
	Spec    raft.DomainSpec `json:"spec"`
	Salt    string          `json:"salt,omitempty"` // as in guest.Definition
	Volumes []volume.ID     `json:"volumes"`        // in the order of the definition
	Epochs  []volume.Epoch  `json:"epochs"`         // that each volume must serve before the domain starts
	// Migrate: the guest that runs is to be sent to another host; nil when it is not.
	Migrate *MigrateOrder `json:"migrate,omitempty"`
	// TakenIn is the operation by which the guest was taken in from another host, if it is to run on here; zero for one
	// that is to boot. One that was taken in and is gone is booted.
	TakenIn uint64 `json:"taken_in,omitempty"`
	// Paused: the guest is to stand still; one that is not there is not to be started.
	Paused bool `json:"paused,omitempty"`
	// Images are those that the guest boots from, as its definition names them.
	Images []ImageFile `json:"images,omitempty"`
}

// MigrateOrder tells the host of a guest where to send it.
type MigrateOrder struct {
	Operation uint64 `json:"operation"`
	To        Peer   `json:"to"` // the other host, and where it answers
}

// ReceiveOrder tells a host to take in a guest that runs elsewhere. It has none of its volumes yet.
type ReceiveOrder struct {
	Operation uint64          `json:"operation"`
	From      volume.NodeID   `json:"from"` // that alone may send it
	Name      string          `json:"name"`
	Run       uint64          `json:"run"` // that it gets once it has moved
	Spec      raft.DomainSpec `json:"spec"`
	Salt      string          `json:"salt,omitempty"` // as in guest.Definition
	Volumes   []volume.ID     `json:"volumes"`        // in the order of the definition
	SizeBytes []int64         `json:"size_bytes"`     // of each
	Images    []ImageFile     `json:"images,omitempty"`
	// Legs are those in sync of its volumes. A host that does not reach one of them is no host for the guest.
	Legs []ReceiveLeg `json:"legs,omitempty"`
}

// ReceiveLeg is a leg that a guest which is taken in will need.
type ReceiveLeg struct {
	Volume string       `json:"volume"` // its name
	Leg    volume.LegID `json:"leg"`
	Node   string       `json:"node"` // its name
	Portal string       `json:"portal"`
}
