package raft

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// Command is one entry of the raft log. Exactly one field besides At is set: that one names the
// command. At is the proposing leader's clock, for events only: no decision rests on it.
type Command struct {
	At time.Time `json:"at"`

	InitCluster      *InitCluster      `json:"init_cluster,omitempty"`
	RegisterNode     *RegisterNode     `json:"register_node,omitempty"`
	RetireNode       *RetireNode       `json:"retire_node,omitempty"`
	RemoveNode       *RemoveNode       `json:"remove_node,omitempty"`
	SetLocation      *SetLocation      `json:"set_location,omitempty" since:"2"`
	SetCluster       *SetCluster       `json:"set_cluster,omitempty" since:"2"`
	KeepNode         *KeepNode         `json:"keep_node,omitempty" since:"2"`
	RequestRebalance *RequestRebalance `json:"request_rebalance,omitempty" since:"2"`
	EndRebalance     *EndRebalance     `json:"end_rebalance,omitempty" since:"2"`
	CreateVolume     *CreateVolume     `json:"create_volume,omitempty"`
	LegProvisioned   *LegProvisioned   `json:"leg_provisioned,omitempty"`
	LegLost          *LegLost          `json:"leg_lost,omitempty"`
	DeleteVolume     *DeleteVolume     `json:"delete_volume,omitempty"`
	LegDeleted       *LegDeleted       `json:"leg_deleted,omitempty"`
	ReplaceLeg       *ReplaceLeg       `json:"replace_leg,omitempty"`
	KeepLeg          *KeepLeg          `json:"keep_leg,omitempty" since:"2"`
	SetReplaceAfter  *SetReplaceAfter  `json:"set_replace_after,omitempty" since:"2"`
	SetLimit         *SetLimit         `json:"set_limit,omitempty" since:"2"`
	SetExport        *SetExport        `json:"set_export,omitempty" since:"2"`
	SetScrubEvery    *SetScrubEvery    `json:"set_scrub_every,omitempty" since:"2"`
	BeginAttach      *BeginAttach      `json:"begin_attach,omitempty"`
	RecordFence      *RecordFence      `json:"record_fence,omitempty"`
	Activate         *Activate         `json:"activate,omitempty"`
	RemoveLeg        *RemoveLeg        `json:"remove_leg,omitempty"`
	AddLeg           *AddLeg           `json:"add_leg,omitempty"`
	ConfirmCopy      *ConfirmCopy      `json:"confirm_copy,omitempty" since:"2"`
	ConfirmConfig    *ConfirmConfig    `json:"confirm_config,omitempty"`
	RequestDetach    *RequestDetach    `json:"request_detach,omitempty"`
	Detach           *Detach           `json:"detach,omitempty"`
	RequestScrub     *RequestScrub     `json:"request_scrub,omitempty"`
	StopScrub        *StopScrub        `json:"stop_scrub,omitempty"`
	ReportScrub      *ReportScrub      `json:"report_scrub,omitempty"`
	DefineDomain     *DefineDomain     `json:"define_domain,omitempty"`
	DeleteDomain     *DeleteDomain     `json:"delete_domain,omitempty"`
	PlaceDomain      *PlaceDomain      `json:"place_domain,omitempty"`
	StopDomain       *StopDomain       `json:"stop_domain,omitempty"`
	RecordEvent      *RecordEvent      `json:"record_event,omitempty"`
	RaiseVersion     *RaiseVersion     `json:"raise_version,omitempty" since:"2"`
	FreezeVolume     *FreezeVolume     `json:"freeze_volume,omitempty" since:"2"`
	Unfreeze         *Unfreeze         `json:"unfreeze,omitempty" since:"2"`
	ForcePromote     *ForcePromote     `json:"force_promote,omitempty" since:"2"`
	NoteLabel        *NoteLabel        `json:"note_label,omitempty" since:"2"`
	AdoptLeg         *AdoptLeg         `json:"adopt_leg,omitempty" since:"2"`
	EndRebuild       *EndRebuild       `json:"end_rebuild,omitempty" since:"2"`
	EndOperation     *EndOperation     `json:"end_operation,omitempty" since:"2"`
	BeginMigration   *BeginMigration   `json:"begin_migration,omitempty" since:"2"`
	AbortMigration   *AbortMigration   `json:"abort_migration,omitempty" since:"2"`
	SwitchMigration  *SwitchMigration  `json:"switch_migration,omitempty" since:"2"`
	GrantMigration   *GrantMigration   `json:"grant_migration,omitempty" since:"2"`
	PauseDomain      *PauseDomain      `json:"pause_domain,omitempty" since:"2"`
	BeginDrill       *BeginDrill       `json:"begin_drill,omitempty" since:"2"`
	ReturnDrill      *ReturnDrill      `json:"return_drill,omitempty" since:"2"`
	EndDrill         *EndDrill         `json:"end_drill,omitempty" since:"2"`

	// These are about what guests boot from.

	AddImage    *AddImage    `json:"add_image,omitempty" since:"2"`
	DeleteImage *DeleteImage `json:"delete_image,omitempty" since:"2"`
	PlaceBlob   *PlaceBlob   `json:"place_blob,omitempty" since:"2"`
	BlobHeld    *BlobHeld    `json:"blob_held,omitempty" since:"2"`
	PinDomain   *PinDomain   `json:"pin_domain,omitempty" since:"2"`

	EndClones *EndClones `json:"end_clones,omitempty" since:"2"`

	// These are about who may use what SetExport opens to other machines.

	IssueCredential   *IssueCredential   `json:"issue_credential,omitempty" since:"2"`
	RevokeCredentials *RevokeCredentials `json:"revoke_credentials,omitempty" since:"2"`

	SetAuthority *SetAuthority `json:"set_authority,omitempty" since:"2"`
	CreateJoin   *CreateJoin   `json:"create_join,omitempty" since:"2"`
	UseJoin      *UseJoin      `json:"use_join,omitempty" since:"2"`
	RevokeJoin   *RevokeJoin   `json:"revoke_join,omitempty" since:"2"`
	CreateToken  *CreateToken  `json:"create_token,omitempty" since:"2"`
	RevokeToken  *RevokeToken  `json:"revoke_token,omitempty" since:"2"`
}

// InitCluster names a new cluster; repeated with the same ID it changes nothing.
type InitCluster struct {
	Name        string           `json:"name"`
	ID          volume.ClusterID `json:"id"`
	Incarnation volume.ClusterID `json:"incarnation"`
}

// RegisterNode adds a node or brings its addresses, stores and roles up to date.
type RegisterNode struct {
	Node Node `json:"node"`
}

// RetireNode marks a node as being replaced by another (or drained, when By is zero). By, if it
// was pending under the same name, becomes a full node.
type RetireNode struct {
	Node volume.NodeID `json:"node"`
	By   volume.NodeID `json:"by,omitzero"`
	Stay bool          `json:"stay,omitempty" since:"2"` // drain only: it is not forgotten when it is empty
}

// KeepNode ends the draining or removal of a node: it gets legs and guests again. Legs of it that are
// still in sync and whose replacements are not stay where they are.
type KeepNode struct {
	Node volume.NodeID `json:"node"`
}

// SetLocation says where a node stands. A nil field is left as it is, an empty one is not known any
// more. It moves nothing: rebalancing does, when asked to.
type SetLocation struct {
	Node volume.NodeID `json:"node"`
	Zone *string       `json:"zone,omitempty"`
	Rack *string       `json:"rack,omitempty"`
}

// SetCluster changes settings of the cluster. A nil field is left as it is.
type SetCluster struct {
	OverProvision *int `json:"over_provision,omitempty"` // percent, OverProvisionMin to OverProvisionMax
}

// RemoveNode forgets a node that holds no leg and no attachment. A node of that identity is not taken
// in again: its daemon, which may run on, would otherwise register it anew at once.
type RemoveNode struct {
	Node volume.NodeID `json:"node"`
}

// NewLeg places one leg.
type NewLeg struct {
	ID    volume.LegID   `json:"id"`
	Node  volume.NodeID  `json:"node"`
	Store volume.StoreID `json:"store"`
	Slot  int            `json:"slot"`
}

// CreateVolume records the intent of a volume; it exists once every leg is provisioned.
type CreateVolume struct {
	ID            volume.ID            `json:"id"`
	Name          string               `json:"name"`
	SizeBytes     int64                `json:"size_bytes"`
	Layout        volume.Layout        `json:"layout"`
	Durability    volume.Durability    `json:"durability"`
	UnflushedLoss volume.UnflushedLoss `json:"unflushed_loss"`
	DataGen       volume.UUID          `json:"data_gen"`
	Legs          []NewLeg             `json:"legs"`
	ScrubEvery    time.Duration        `json:"scrub_every,omitempty"` // zero = never by itself
	Spread        Spread               `json:"spread,omitempty" since:"2"`
	Apart         []volume.ID          `json:"apart,omitempty" since:"2"` // volumes whose nodes it keeps away from
	Limit         volume.Limit         `json:"limit,omitzero" since:"2"`
	Clone         *CloneOf             `json:"clone,omitempty" since:"2"` // nil: it begins empty
}

// LegProvisioned says that a leg's label and empty data are durable on its node.
type LegProvisioned struct {
	Volume volume.ID    `json:"volume"`
	Leg    volume.LegID `json:"leg"`
}

// LegLost says that a provisioned leg's data is gone: its node has the store but no label, or a
// label that both slots fail to prove.
type LegLost struct {
	Volume volume.ID    `json:"volume"`
	Leg    volume.LegID `json:"leg"`
	Reason string       `json:"reason"`
}

// DeleteVolume marks a detached volume for deletion and writes tombstones for its legs.
type DeleteVolume struct {
	Volume volume.ID `json:"volume"`
}

// LegDeleted says that a node has deleted (or never had) a leg with a tombstone.
type LegDeleted struct {
	Leg volume.LegID `json:"leg"`
}

// ReplaceLeg places New in the slot of Old. Old keeps serving until New is in sync.
type ReplaceLeg struct {
	Volume volume.ID    `json:"volume"`
	Old    volume.LegID `json:"old"`
	New    NewLeg       `json:"new"`
	// Ordered: the rebalancing that is wanted wants it; nothing is wrong with Old.
	Ordered bool `json:"ordered,omitempty" since:"2"`
}

// KeepLeg ends the replacement of a leg: the leg that was to take its place, and is not in sync, is let
// go. Anything else refuses the command or makes it change nothing.
type KeepLeg struct {
	Volume volume.ID    `json:"volume"`
	Leg    volume.LegID `json:"leg"`
}

// SetReplaceAfter sets how long a leg cannot be reached before another one takes its place: of a volume,
// or of the cluster if Volume is zero. See Cluster.ReplaceAfter.
type SetReplaceAfter struct {
	Volume volume.ID     `json:"volume,omitzero"`
	After  time.Duration `json:"after"`
}

// BeginAttach grants the next epoch to a host.
type BeginAttach struct {
	Volume      volume.ID       `json:"volume"`
	Host        volume.NodeID   `json:"host"`
	AttachID    volume.AttachID `json:"attach_id"`
	Takeover    bool            `json:"takeover,omitempty"`
	Maintenance bool            `json:"maintenance,omitempty"`
	AcceptLoss  bool            `json:"accept_loss,omitempty"`
	Filling     bool            `json:"filling,omitempty" since:"2"` // of a clone, by who fills it
	// After, if not zero, refuses the command unless it is the current epoch, so that a decision
	// taken on an older view changes nothing.
	After volume.Epoch `json:"after,omitempty"`
	// Renews, if not zero, refuses the command unless this is the host's own current attachment and
	// it is not to be detached: its engine is gone and a new one takes the next epoch. Only so may a
	// host's daemon propose the command.
	Renews volume.AttachID `json:"renews,omitzero"`
	// Reason and Silent are kept with the operation of a takeover, as in PlaceDomain.
	Reason string        `json:"reason,omitempty" since:"2,drop"`
	Silent time.Duration `json:"silent,omitempty" since:"2,drop"`
	// TRead is T_read of the attachment: the leader's own, which it takes from nobody.
	TRead time.Duration `json:"t_read,omitempty" since:"2,drop"`
}

// RecordFence says that the host of this epoch fenced a leg by logging in, and what it found.
type RecordFence struct {
	Volume volume.ID        `json:"volume"`
	Epoch  volume.Epoch     `json:"epoch"`
	Leg    volume.LegID     `json:"leg"`
	Report volume.LegReport `json:"report"`
	// SetBack is the host's word that the leg showed an older state in this epoch than before.
	SetBack bool `json:"set_back,omitempty"`
}

// Activate makes a grant active; Apply computes the in-sync list itself (protocol-flush B.4, C.4).
// Waited is the leader's word that 1.25·T_read passed on its own monotonic clock since it saw the
// first RecordFence of a member of the in-sync list committed in this epoch.
type Activate struct {
	Volume volume.ID    `json:"volume"`
	Epoch  volume.Epoch `json:"epoch"`
	Waited bool         `json:"waited,omitempty"`
}

// RemoveLeg takes a leg out of the in-sync list, or bumps the configuration if it is not in it.
type RemoveLeg struct {
	Volume  volume.ID     `json:"volume"`
	Epoch   volume.Epoch  `json:"epoch"`
	Leg     volume.LegID  `json:"leg"`
	SeenCfg volume.CfgVer `json:"seen_cfg"`
	Reason  string        `json:"reason"`
	SetBack bool          `json:"set_back,omitempty"` // as in RecordFence
	// Seqs are how far the labels of the legs in sync, and of this one, have come, as in ConfirmConfig.
	Seqs []volume.LegSeq `json:"seqs,omitempty"`
}

// AddLeg puts a copied leg into the in-sync list, by compare-and-set on the configuration.
type AddLeg struct {
	Volume   volume.ID      `json:"volume"`
	Epoch    volume.Epoch   `json:"epoch"`
	CfgVer   volume.CfgVer  `json:"cfgver"`
	Leg      volume.LegID   `json:"leg"`
	Store    volume.StoreID `json:"store"`
	Instance uint64         `json:"instance"`
}

// ConfirmCopy keeps how far the copy onto a leg has come, see Copied, and makes a new configuration of the
// same list: what is written from then on is newer than what the next ConfirmCopy may name as Since. It is
// a compare-and-set on the configuration, the store and the instance, as AddLeg. Seqs as in ConfirmConfig, of
// the leg.
type ConfirmCopy struct {
	Volume   volume.ID       `json:"volume"`
	Epoch    volume.Epoch    `json:"epoch"`
	CfgVer   volume.CfgVer   `json:"cfgver"`
	Leg      volume.LegID    `json:"leg"`
	Store    volume.StoreID  `json:"store"`
	Instance uint64          `json:"instance"`
	Upto     int64           `json:"upto"`
	Since    volume.CfgVer   `json:"since"`
	Seqs     []volume.LegSeq `json:"seqs,omitempty"`
}

// ConfirmConfig is the host's word that a configuration is durable on every leg in sync, and how far
// their labels have come. It decides nothing now: it is evidence against a leg that is set back later.
type ConfirmConfig struct {
	Volume volume.ID       `json:"volume"`
	Epoch  volume.Epoch    `json:"epoch"`
	CfgVer volume.CfgVer   `json:"cfgver"`
	Seqs   []volume.LegSeq `json:"seqs"`
}

// RequestDetach wants a volume detached: the ticket of its attachment says so from now on, and the
// engine flushes, detaches and ends. It changes no epoch and takes nothing from anybody. Epoch, if
// not zero, refuses the command unless it is the current one.
type RequestDetach struct {
	Volume volume.ID    `json:"volume"`
	Epoch  volume.Epoch `json:"epoch,omitempty"`
}

// Detach ends an attachment.
type Detach struct {
	Volume volume.ID    `json:"volume"`
	Epoch  volume.Epoch `json:"epoch"`
	Clean  bool         `json:"clean"`
	// Seqs are how far the labels of the legs in sync have come, as in ConfirmConfig.
	Seqs []volume.LegSeq `json:"seqs,omitempty"`
}

// DefineDomain adds a domain or, while it is stopped, changes its definition.
type DefineDomain struct {
	ID   volume.UUID `json:"id"`
	Spec DomainSpec  `json:"spec"`
}

// DeleteDomain forgets a stopped domain. Its volumes stay.
type DeleteDomain struct {
	Name string `json:"name"`
}

// PlaceDomain starts a domain on a host, or moves it there, and in the same entry grants the host
// the next epoch of each of its volumes that it does not already hold. Run is the domain's Run that
// the decision was taken on; any other refuses the command.
type PlaceDomain struct {
	Name     string            `json:"name"`
	Host     volume.NodeID     `json:"host"`
	Run      uint64            `json:"run"`
	Takeover bool              `json:"takeover,omitempty"`
	Attach   []volume.AttachID `json:"attach"` // a fresh one for each of its volumes, in order
	Reason   string            `json:"reason"`
	// Silent is how long the host that it is taken from has been silent, by the leader's clock; zero if it
	// is not. It is kept with the operation and decides nothing.
	Silent time.Duration `json:"silent,omitempty" since:"2,drop"`
	TRead  time.Duration `json:"t_read,omitempty" since:"2,drop"` // as in BeginAttach
}

// StopDomain wants a domain not to run. Its volumes are detached by its host afterwards.
type StopDomain struct {
	Name string `json:"name"`
	// Run is the domain's Run that the decision was taken on, any other refuses the command; zero is whatever it is.
	Run    uint64 `json:"run,omitempty" since:"2"`
	Reason string `json:"reason,omitempty" since:"2"`
}

// PauseDomain wants the guest of a domain that runs to stand still, or to go on. Run stays as it is. It moves nothing
// and grants nothing.
type PauseDomain struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}

// RecordEvent keeps an event of the leader's own, such as a host that went silent.
type RecordEvent struct {
	Event Event `json:"event"`
}

// Result is what Apply answers. Err is nil exactly when the command was accepted, also when it was
// accepted before and repeated. A refused RemoveLeg or AddLeg of the current epoch tells Epoch and
// Config, too; with any other refusal they are zero.
type Result struct {
	Err    *Refusal      `json:"err,omitempty"`
	Epoch  volume.Epoch  `json:"epoch,omitempty"`  // of the volume, after the command
	Config volume.Config `json:"config,omitempty"` // of the volume, after the command
	// Lossy are the legs that this epoch's logins showed to have lost their cache.
	Lossy []volume.LegID `json:"lossy,omitempty"`
	// SetBack answers RecordFence: nothing that the leg holds counts, since it or the volume was set back
	// to an older state, or since it never was in sync. It is copied in full before it is in sync.
	SetBack bool `json:"set_back,omitempty"`
	// Copied answers RecordFence: what a leg that is copied in full has already. The epoch of the
	// answer's leg is the current one.
	Copied Copied `json:"copied,omitzero"`
	Scrub  uint64 `json:"scrub,omitempty"` // answers the commands of scrubs: which one
	Clean  bool   `json:"clean,omitempty"` // the last detach was clean: no region needs reconciling
	// Unbroken is that of the volume's attachment, zero if it is not known.
	Unbroken volume.AttachID `json:"unbroken,omitzero"`
	// Credentials answers IssueCredential: the series that the credential is of.
	Credentials volume.UUID `json:"credentials,omitzero"`
}

// Code says why a command was refused, for programs.
type Code string

// The codes of a refusal.
const (
	CodeFenced   Code = "fenced"    // the epoch is superseded: stop for good
	CodeLast     Code = "last"      // the last usable leg is never removed
	CodeRetry    Code = "retry"     // the configuration moved on: look again
	CodeStale    Code = "stale"     // a duplicate of an older request: ignored
	CodeWait     Code = "wait"      // not yet: what is awaited stands in Message
	CodeBusy     Code = "busy"      // another attachment or state is in the way
	CodeFrozen   Code = "frozen"    // an operator must decide
	CodeNotFound Code = "not_found" // no such object
	CodeExists   Code = "exists"    // the name or id is taken
	CodeInvalid  Code = "invalid"   // the command contradicts the state or itself
)

// Refusal is a refused command: which object, why, what to do.
type Refusal struct {
	Code    Code           `json:"code"`
	Message string         `json:"message"`
	Legs    []volume.LegID `json:"legs,omitempty"` // legs that are awaited or in the way
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }
