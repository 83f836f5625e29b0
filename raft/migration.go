package raft

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// DriverQEMU is the driver whose guests can move while they run.
const DriverQEMU = "qemu"

// VersionMigration is the cluster version that brought migrations: hosts that understand it take part in them.
const VersionMigration = 2

// Migration is a move of a domain whose guest runs on meanwhile. It goes on until its operation ends.
//
//	begun ── the memory is copied, the guest halts ── switched ── disks: detached, granted anew ── the guest runs on
//	  └── aborted: the guest stays where it is
//
// The entry that switches is the one point of no return. Before it the guest is the old host's, which alone may have
// it run, and holds its volumes; after it the domain is the new host's, with the next Run.
type Migration struct {
	Operation uint64        `json:"operation"`
	From      volume.NodeID `json:"from"`
	To        volume.NodeID `json:"to"`
	Run       uint64        `json:"run"` // of the domain once it has switched
	Switched  bool          `json:"switched,omitempty"`
}

// BeginMigration lets the host of a domain send its guest to another one while it runs. It moves nothing yet, and
// grants nothing. Run is as in PlaceDomain.
type BeginMigration struct {
	Request volume.UUID   `json:"request"` // fresh for each decision: the same again changes nothing
	Name    string        `json:"name"`
	Host    volume.NodeID `json:"host"` // that it moves to
	Run     uint64        `json:"run"`
	Reason  string        `json:"reason,omitempty"`
}

// AbortMigration has a migration end with the guest where it was. It is refused once that has switched. Accepted, it
// says that the domain is at this Run still, and that no migration of this number will ever switch: the host that the
// guest is on may have it run on. Of a domain that was stopped in this very run it says so, too, and changes nothing:
// the stop ended the migration, each switch has the next Run, and so had the guest to be where it was when it was
// stopped. It is that host's to end, in order.
type AbortMigration struct {
	ID     uint64 `json:"id"`
	Name   string `json:"name"`
	Run    uint64 `json:"run"`
	Reason string `json:"reason,omitempty"`
}

// SwitchMigration makes the domain the new host's. It is for the old host, once the guest is halted there, has flushed
// what it wrote and cannot run on by itself, and once the new host has it as a whole. Run and Epochs, of each of the
// domain's volumes in order, are those that the guest was started under: any others refuse the command, so that it is
// this very guest. The volumes are detached by the old host's engines, and granted by GrantMigration.
type SwitchMigration struct {
	ID     uint64         `json:"id"`
	Name   string         `json:"name"`
	Run    uint64         `json:"run"`
	Epochs []volume.Epoch `json:"epochs"`
}

// GrantMigration grants the new host of a migration that has switched the next epoch of each volume that the old one
// has detached; with Takeover, also of those that it has not.
type GrantMigration struct {
	ID       uint64            `json:"id"`
	Name     string            `json:"name"`
	Attach   []volume.AttachID `json:"attach"` // a fresh one for each of its volumes, in order
	Takeover bool              `json:"takeover,omitempty"`
	TRead    time.Duration     `json:"t_read,omitempty"` // as in BeginAttach
}

// endedKind is the kind of the event that tells of the end of an operation.
func (o *Operation) endedKind() string {
	kind := "failover_ended"
	if o.Kind == OperationMigration {
		kind = "migration_ended"
	}
	return kind
}

// MigrationsGivenUp returns how many migrations of a domain's present run were given up, and the latest of them, nil if
// none was, or none is remembered.
func (s *State) MigrationsGivenUp(d *Domain) (n int, latest *Operation) {
	for _, o := range s.Operations {
		if o.Kind == OperationMigration && o.Domain == d.Name && o.Run == d.Run+1 && o.Result == OperationAborted {
			n, latest = n+1, o
		}
	}
	return n, latest
}

// MigrationOf returns the migration that an operation is, nil if it is none, or has ended.
func (s *State) MigrationOf(o *Operation) *Migration {
	if d := s.Domains[o.Domain]; d != nil && d.Migration != nil && d.Migration.Operation == o.ID {
		return d.Migration
	}
	return nil
}

// Handover is how far a volume of a domain that has switched is on its way to the new host.
type Handover string

// How far a volume can be.
const (
	HandoverHeld Handover = "held" // the old host has it, as far as is known
	HandoverFree Handover = "free" // it may be granted: nobody has it for a guest
	HandoverDone Handover = "done" // it is granted to the new host
)

// Handover returns how far a volume of the domain is, which moves. Its maintenance gives way to a guest, on whichever
// host, and what an operator attached to the new host while it was nobody's is taken over as it is.
func (d *Domain) Handover(v *Volume) Handover {
	switch a := v.Attach; {
	case a == nil || a.Maintenance:
		return HandoverFree
	case a.Host != d.Migration.To || a.Detaching:
		return HandoverHeld
	case a.Domain != d.Name:
		return HandoverFree
	}
	return HandoverDone
}

// Migrated returns the state as it will be once a domain's guest has moved to where it is migrated to. It is for
// forecasts: it shares with s what differs not, and is no state that Apply makes.
func (s *State) Migrated(name string) *State {
	next, moved := s.Fork(), *s.Domains[name]
	m := moved.Migration
	for _, use := range moved.Spec.Volumes {
		if v := s.VolumeByName(use.Name); v != nil && v.Attach != nil {
			there, attach := *v, *v.Attach
			attach.Host = m.To
			there.Attach = &attach
			next.Volumes[v.ID] = &there
		}
	}
	next.Operations = slices.DeleteFunc(slices.Clone(s.Operations), func(o *Operation) bool {
		return o.ID == m.Operation
	})
	moved.Host, moved.Run, moved.Migration = m.To, m.Run, nil
	next.Domains[name] = &moved
	return next
}
