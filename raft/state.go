package raft

import (
	"encoding/json"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

// State is everything the coordinators agree on. It is changed by Apply alone and serialised as
// JSON in snapshots.
type State struct {
	Version int                        `json:"version"` // of the cluster: which commands and fields are in use
	Cluster Cluster                    `json:"cluster"`
	Nodes   map[volume.NodeID]*Node    `json:"nodes"`
	Volumes map[volume.ID]*Volume      `json:"volumes"`
	Domains map[string]*Domain         `json:"domains"` // by name
	Tombs   map[volume.LegID]Tombstone `json:"tombstones"`
	// Removed are the nodes that left the cluster, and when. They are not taken in again: such a
	// machine needs a new identity.
	Removed map[volume.NodeID]time.Time `json:"removed"`
	// Former are the incarnations before the present one, oldest first: legs that were made under them have
	// labels of them.
	Former []volume.ClusterID `json:"former,omitempty" since:"2"`
	// Rebalance is wanted while it is not nil.
	Rebalance *Rebalance `json:"rebalance,omitempty" since:"2"`

	Authority *Authority            `json:"authority,omitempty" since:"2"`   // nil before the CA was handed over
	Joins     map[string]*JoinToken `json:"join_tokens,omitempty" since:"2"` // by id
	Tokens    map[string]*APIToken  `json:"api_tokens,omitempty" since:"2"`  // by name

	Events  []Event `json:"events"` // newest last, at most EventsMax
	LastSeq uint64  `json:"last_seq"`
	// Operations are the failovers that run and the latest that ended, oldest first, at most OperationsMax.
	Operations    []*Operation `json:"operations,omitempty" since:"2"`
	LastOperation uint64       `json:"last_operation,omitempty" since:"2"` // the number of the newest
	// Drills are the fire drills that run and the latest that ended, oldest first, at most DrillsMax.
	Drills    []*Drill `json:"drills,omitempty" since:"2"`
	LastDrill uint64   `json:"last_drill,omitempty" since:"2"` // the number of the newest

	Images map[string]*Image       `json:"images,omitempty" since:"2"` // by name
	Blobs  map[volume.Digest]*Blob `json:"blobs,omitempty" since:"2"`  // what the versions of images are

	broken Rules // by Break, for tests
}

// EventsMax is how many events the state keeps.
const EventsMax = 2000

// Cluster identifies the cluster.
type Cluster struct {
	Name        string           `json:"name"`
	ID          volume.ClusterID `json:"id"`
	Incarnation volume.ClusterID `json:"incarnation"` // changes with every restore
	RestoreGen  uint32           `json:"restore_gen"` // grows with every restore, and every ForcePromote
	// FromLegs: the catalogue of volumes is completed, or made anew, from what storage nodes find on their disks,
	// since it was restored, until an operator ends it. Until then no volume that is VerifyAll is activated, but for
	// one that was promoted.
	FromLegs bool `json:"from_legs,omitempty" since:"2"`
	// OverProvision is how many percent of what a store can hold may be promised to legs, which are thin:
	// zero is 100, so that every leg can be written in full.
	OverProvision int `json:"over_provision,omitempty" since:"2"`
	// ReplaceAfter is how long a leg cannot be reached before another takes its place, for volumes that do
	// not say it themselves: zero is ReplaceAfterDefault, negative never.
	ReplaceAfter time.Duration `json:"replace_after,omitempty" since:"2"`
}

// Role is what a node does.
type Role string

// The roles of a node.
const (
	RoleCoordinator Role = "coordinator"
	RoleStorage     Role = "storage"
	RoleHost        Role = "host"
)

// Node is one machine of the cluster. Its identity is ID; a name may pass to another node.
type Node struct {
	ID     volume.NodeID `json:"id"`
	Name   string        `json:"name"`
	Roles  []Role        `json:"roles"`
	API    string        `json:"api"`              // host:port of its HTTPS API
	Raft   string        `json:"raft,omitempty"`   // host:port of its raft transport, coordinators only
	Portal string        `json:"portal,omitempty"` // host:port of its iSCSI portal, storage nodes only
	Stores []Store       `json:"stores,omitempty"`
	// Location is where it stands: what it registered with, or what an operator said since.
	// RegisteredLocation is what it registered with last; a registration with another one counts anew.
	Location           Location `json:"location,omitzero" since:"2,drop"`
	RegisteredLocation Location `json:"registered_location,omitzero" since:"2,drop"`

	ChapKey volume.NodeKey `json:"chap_key"` // never leaves the coordinators and that node
	KeyGen  uint32         `json:"key_gen"`
	// Pending is a node that registered under a name which another node still has. It takes part
	// in nothing until `node replace` gives it that node's place.
	Pending bool `json:"pending,omitempty"`
	// Retiring is a node whose legs are being moved away; it gets no new ones.
	Retiring bool `json:"retiring,omitempty"`
	// Stays is a retiring node that is only drained: once it is empty it stays a member, and gets nothing
	// new until it is kept.
	Stays      bool          `json:"stays,omitempty" since:"2"`
	ReplacedBy volume.NodeID `json:"replaced_by,omitzero"`
	Since      time.Time     `json:"since"`
	// Predecessors are the nodes whose place it took and that left, the latest last, at most PredecessorsMax: so that
	// a replacement that is asked for again is known to be done.
	Predecessors []Predecessor `json:"predecessors,omitempty" since:"2,drop"`
}

// PredecessorsMax bounds Node.Predecessors.
const PredecessorsMax = 8

// Predecessor is a node that another one took the place of.
type Predecessor struct {
	ID   volume.NodeID `json:"id"`
	Name string        `json:"name"` // that it had
}

// Store is one place for legs on a storage node.
type Store struct {
	ID   volume.StoreID `json:"id"`
	Name string         `json:"name"`
}

// Volume is one set and its attachment.
//
// Invariant: Epoch and CfgVer never decrease (I1).
// Invariant: the slots of InSync are enough for the Layout once provisioned (I12).
type Volume struct {
	ID            volume.ID            `json:"id"`
	Name          string               `json:"name"`
	SizeBytes     int64                `json:"size_bytes"`
	Layout        volume.Layout        `json:"layout"`
	Durability    volume.Durability    `json:"durability"`
	UnflushedLoss volume.UnflushedLoss `json:"unflushed_loss"`
	DataGen       volume.UUID          `json:"data_gen"`
	Phase         volume.Phase         `json:"phase"`
	Epoch         volume.Epoch         `json:"epoch"`
	CfgVer        volume.CfgVer        `json:"cfgver"`
	InSync        []volume.LegID       `json:"in_sync"`
	Granted       []volume.LegID       `json:"granted"` // legs any live host may read; survives BeginAttach
	// ReadFor is the longest T_read of the attachments whose hosts may read still: the one that was active last, and
	// those granted since. Zero = it is not known.
	ReadFor time.Duration `json:"read_for,omitempty" since:"2"`
	// Clean says that the attachment before the current one (the latest one when detached) ended by
	// a clean detach, so that no region needs reconciling.
	Clean  bool    `json:"clean"`
	Attach *Attach `json:"attach,omitempty"` // nil when detached
	// LastAttach is the attachment before the current one, or the one that ended last; a delayed
	// duplicate of its BeginAttach is refused.
	LastAttach volume.AttachID `json:"last_attach,omitzero"`
	Legs       []*Leg          `json:"legs"`
	Deleting   bool            `json:"deleting,omitempty"`

	// VerifyAll: the legs may know more of the volume than the coordinators do, since these were restored, or
	// the volume was frozen. Every leg has to answer the fence of one epoch before anything is read, and the
	// newest in-sync list that a label shows is adopted (protocol §1.7.11).
	VerifyAll bool `json:"verify_all,omitempty" since:"2"`
	// Rebuilt: what is known of the volume is what labels say, or that it was to be made, so its own in-sync list
	// says nothing. Implies VerifyAll.
	Rebuilt bool `json:"rebuilt,omitempty" since:"2"`
	// Promoted is the leg from which alone the volume goes on, by an operator's word; zero without one.
	// Implies VerifyAll.
	Promoted volume.LegID `json:"promoted,omitzero" since:"2"`
	// SeenEpoch and SeenCfg are the highest numbers that labels have shown of the volume while they were ahead
	// of it. The next epoch and the next configuration are above them.
	SeenEpoch volume.Epoch  `json:"seen_epoch,omitempty" since:"2"`
	SeenCfg   volume.CfgVer `json:"seen_cfg,omitempty" since:"2"`
	FrozenWhy string        `json:"frozen_why,omitempty" since:"2"` // why it is frozen, while it is
	CreatedAt time.Time     `json:"created_at"`

	// Spread is what no two of its legs may share. Apart are volumes with whose legs its own share no
	// node; it holds both ways. Volumes that are gone stay listed and mean nothing.
	Spread       Spread        `json:"spread,omitempty" since:"2"`
	Apart        []volume.ID   `json:"apart,omitempty" since:"2"`
	ReplaceAfter time.Duration `json:"replace_after,omitempty" since:"2"` // as the cluster's, which zero stands for
	Limit        volume.Limit  `json:"limit,omitzero" since:"2"`          // of its guest's reads and writes
	// Exports are those that it has beside NBD on a unix socket, by kind. Their secrets are for their guests.
	Exports []volume.ExportSetting `json:"exports,omitempty" since:"2"`
	// Credentials is the series of the credentials that are good for its exports; zero = none is.
	Credentials volume.UUID `json:"credentials,omitzero" since:"2"`

	Clone *Clone `json:"clone,omitempty" since:"2"` // nil for one that began empty

	ScrubEvery time.Duration `json:"scrub_every,omitempty"` // its schedule; zero = never by itself
	Scrubs     uint64        `json:"scrubs,omitempty"`      // how many were wanted so far
	Scrub      *Scrub        `json:"scrub,omitempty"`       // the one that is wanted now
	LastScrub  *ScrubResult  `json:"last_scrub,omitempty"`  // the last that was complete
	// StoppedScrub is the last one that was stopped, if none was completed since.
	StoppedScrub *ScrubResult `json:"stopped_scrub,omitempty"`
}

// Attach is the current grant of a volume.
type Attach struct {
	ID          volume.AttachID `json:"id"`
	Host        volume.NodeID   `json:"host"`
	Maintenance bool            `json:"maintenance,omitempty"`       // no export; a real attach pre-empts it
	Filling     bool            `json:"filling,omitempty" since:"2"` // of a clone, to be filled: no guest has it
	// SourceEpoch is that of the source when the clone's attachment was granted. A source that is attached anew has its
	// clones attached anew: nothing that was on its way from the engine before reaches them any more.
	SourceEpoch volume.Epoch `json:"source_epoch,omitempty" since:"2"`
	AcceptLoss  bool         `json:"accept_loss,omitempty"` // this attach only, by the operator's order
	Detaching   bool         `json:"detaching,omitempty"`   // RequestDetach: its ticket says Detach
	// Domain is the domain whose PlaceDomain granted this, empty for an operator's attach: when the
	// domain stops, its own attachments are detached and an operator's are not.
	Domain string `json:"domain,omitempty"`
	// Lossy are the legs whose logins before Activate showed a lost cache. It only grows until
	// Activate and is kept unchanged afterwards, so that a repeated Activate gets the same answer.
	Lossy []volume.LegID `json:"lossy,omitempty"`
	// Unbroken is the attachment from which on a guest may have been plugged in and go on: each since renewed
	// the one before on the same host, and none of their epochs began with a loss. Zero = it is not known.
	Unbroken volume.AttachID `json:"unbroken,omitzero" since:"2"`
	// TRead is the T_read that its engine keeps to, whatever the coordinators' is since; zero = it is not known.
	TRead time.Duration `json:"t_read,omitempty" since:"2"`
	At    time.Time     `json:"at"`
}

// Leg is one leg of a volume.
type Leg struct {
	ID          volume.LegID    `json:"id"`
	Node        volume.NodeID   `json:"node"`
	Store       volume.StoreID  `json:"store"`
	Slot        int             `json:"slot"`
	State       volume.LegState `json:"state"`
	Provisioned bool            `json:"provisioned"` // its label was made; a node never makes it again
	JoinedCfg   volume.CfgVer   `json:"joined_cfg"`
	LastISRCfg  volume.CfgVer   `json:"last_isr_cfg"` // the last version it was in sync in
	FencedEpoch volume.Epoch    `json:"fenced_epoch"`
	Instance    uint64          `json:"instance"`           // of the node process at the last fence
	Replaces    volume.LegID    `json:"replaces,omitzero"`  // it takes this leg's place once in sync
	Retiring    bool            `json:"retiring,omitempty"` // leaves when its replacement is in sync
	// Ordered: it replaces a leg that nothing is wrong with, as a rebalancing wants it.
	Ordered bool `json:"ordered,omitempty" since:"2"`

	// LabelCfg and LabelSeq are what the leg's durable label has reached, as was known in LabelEpoch: its
	// configuration and its Progress. A label that shows less in a later epoch was set back.
	LabelCfg   volume.CfgVer `json:"label_cfg,omitempty"`
	LabelSeq   uint64        `json:"label_seq,omitempty"`
	LabelEpoch volume.Epoch  `json:"label_epoch,omitempty"`
	// SetBack: the leg showed an older state than it must have. Nothing that it holds counts before it
	// was copied in full.
	//
	// Invariant: SetBack implies that LastISRCfg is zero, or that the leg is in sync still.
	SetBack bool `json:"set_back,omitempty"`

	// Shown is the configuration of the label that the leg answered in FencedEpoch, kept while the volume is
	// VerifyAll.
	Shown *volume.Config `json:"shown,omitempty" since:"2"`
	// SeenCfg is the newest configuration that the leg's label has shown while the volume is VerifyAll or frozen. It
	// tells an operator what he would give up, and decides nothing.
	SeenCfg volume.CfgVer `json:"seen_cfg,omitempty" since:"2"`
	// GivenUp: the volume goes on without what the leg holds, whatever that is. The leg is lost or
	// quarantined, it is never awaited, and its data is never deleted.
	GivenUp bool `json:"given_up,omitempty" since:"2"`
	// Copied is what a leg that never was in sync has of the others, so that its copy need not begin anew.
	Copied Copied `json:"copied,omitzero" since:"2"`
}

// Copied is a host's word that the first Upto bytes of a leg equal the legs in sync, but for what is newer
// than Since there and for what is marked, and that what is not marked is on stable storage. It stays
// true whatever happens to the leg, until the leg is set back or in sync.
//
// Invariant: it is zero for a leg that is in sync, lost or was set back.
type Copied struct {
	Upto  int64         `json:"upto,omitempty"`
	Since volume.CfgVer `json:"since,omitempty"`
	At    volume.CfgVer `json:"at,omitempty"` // the configuration that the latest ConfirmCopy named
}

// Tombstone permits a node to delete a leg's data.
type Tombstone struct {
	Node   volume.NodeID  `json:"node"`
	Store  volume.StoreID `json:"store"` // on which the data is
	Volume string         `json:"volume"`
	At     time.Time      `json:"at"`
}

// Domain is one guest: its definition and where it is to run. Whether it does is known from
// heartbeats.
type Domain struct {
	Name    string        `json:"name"`
	ID      volume.UUID   `json:"id"`
	Spec    DomainSpec    `json:"spec"`
	Running bool          `json:"running"` // wanted
	Host    volume.NodeID `json:"host"`    // zero when not running
	// Run grows with every start, move and stop. A host runs no older one, and a decision taken
	// on an older one is refused.
	Run uint64 `json:"run"`
	// Migration moves the guest while it runs; nil when none does.
	Migration *Migration `json:"migration,omitempty" since:"2"`
	// Salt is the cluster that the domain was first defined in: what the UUID of a guest that names none is made from
	// beside its name. It stays as it is, so that no guest gets another UUID. Zero: it was defined before there was
	// one.
	Salt volume.ClusterID `json:"salt,omitzero" since:"2"`
	// Paused: its guest is to stand still where it is, with its memory. One that is gone is not started before that is
	// over. Invariant: only a domain that is to run is paused, and none that is migrated.
	Paused bool `json:"paused,omitempty" since:"2"`
	// Boots are the images that its present run was started with, Before those that it was pinned to before it was to
	// the ones of Spec. Both are empty of what is no image.
	Boots  guest.Pins `json:"boots,omitzero" since:"2"`
	Before guest.Pins `json:"before,omitzero" since:"2"`
}

// DomainSpec is a domain's definition.
type DomainSpec struct {
	Name    string         `json:"name" yaml:"name"`
	Driver  string         `json:"driver" yaml:"driver"`
	Exec    *ExecSpec      `json:"exec,omitempty" yaml:"exec,omitempty"`
	Volumes []DomainVolume `json:"volumes" yaml:"volumes"`
	Hosts   []string       `json:"hosts" yaml:"hosts"` // node names, most preferred first; empty = any host
	// AntiAffinity names a group of domains that are kept on different hosts as long as there is a choice.
	AntiAffinity string `json:"anti_affinity,omitempty" yaml:"anti_affinity,omitempty" since:"2"`
	// Settings are those of any driver but exec, one JSON object. Only hosts, and who proposes a definition,
	// know what is in them: a new driver needs no new cluster version.
	Settings json.RawMessage `json:"settings,omitempty" since:"2"`
	Machine  guest.Machine   `json:"machine,omitzero" since:"2"`
	Policy   guest.Policy    `json:"policy,omitzero" since:"2"`
}

// SettingsBytesMax bounds DomainSpec.Settings.
const SettingsBytesMax = 64 << 10

// ExecSpec is the setting of the exec driver: a command with its arguments, in which $NAME and
// ${NAME} stand for the variables that the driver sets.
type ExecSpec struct {
	Command []string `json:"command" yaml:"command"`
}

// DomainVolume names a volume that a domain uses.
type DomainVolume struct {
	Name string `json:"name" yaml:"name"`
	// Device is the name under which the guest sees it; empty leaves it to the driver.
	Device string `json:"device,omitempty" since:"2"`
}

// Event is one thing that happened and that an operator may want to know.
type Event struct {
	Seq      uint64    `json:"seq"`
	At       time.Time `json:"time"`
	Severity string    `json:"severity"` // info, warning, error
	Object   string    `json:"object"`   // "volume/web1", "node/n2", "domain/web1", "cluster"
	Kind     string    `json:"kind"`     // short and stable: "leg_removed", "takeover" …
	Message  string    `json:"message"`  // a sentence
}
