package control

import (
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

const (
	// migrateMax is how long the memory of a guest may be copied before its migration is given up.
	migrateMax = 30 * time.Minute
	// detachPatience is how long the old host of a migration may take to detach the volumes of a guest that has moved.
	// Nothing is written there meanwhile, but the guest stands still.
	detachPatience = time.Second
)

// Migrations takes migrations to their end, whoever leads.
//
// It guarantees that the volumes of a guest that has switched are granted to its new host: each as soon as the old one
// has detached it, all of them once it took too long or does not answer; and that one which has not switched is given
// up when its new host can take no guest any more, its old one is dead, or its time is over. What to do about a guest
// whose host is dead is Failover's, before and after.
func Migrations(v *View) []raft.Command {
	var out []raft.Command
	for _, d := range v.sortedDomains() {
		if d.Migration == nil {
			continue
		}
		if c := v.nextOfMigration(d); c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// migrationStep is what a migration needs next of the leader.
type migrationStep string

// The steps of a migration.
const (
	migrationWaits migrationStep = "waits"     // for its hosts
	migrationGives migrationStep = "give up"   // the guest stays
	migrationGrant migrationStep = "grant"     // what the old host has detached
	migrationTake  migrationStep = "take over" // whatever the old host holds
	migrationEnds  migrationStep = "ends"      // all is granted: Operations ends it once the guest runs
)

// migrationFacts is all that is asked about a migration.
type migrationFacts struct {
	switched bool // the point of no return is behind it
	fromDead bool // its old host is silent for good, as far as is known
	toGone   bool // its new host is silent, or takes no guests any more
	late     bool // it has gone on, or waited for the detach, longer than it may
	free     bool // a volume is nobody's, and not granted yet
	held     bool // a volume is still the old host's
}

// stepOfMigration decides what is next. The rest of what a failure leads to is not decided here: a guest whose host is
// dead is Failover's, whichever host that is by then.
func stepOfMigration(f migrationFacts) migrationStep {
	switch {
	case !f.switched && (f.fromDead || f.toGone || f.late):
		return migrationGives
	case !f.switched:
		return migrationWaits
	case f.held && (f.fromDead || f.late):
		return migrationTake
	case f.free:
		return migrationGrant
	case f.held:
		return migrationWaits
	}
	return migrationEnds
}

func (v *View) migrationFacts(d *raft.Domain) migrationFacts {
	m := d.Migration
	to := v.State.Nodes[m.To]
	f := migrationFacts{switched: m.Switched, toGone: to == nil || v.lostAsHost(to)}
	f.fromDead = v.Condition(m.From) == raft.NodeDead
	seen := v.Facts.operations[m.Operation]
	if m.Switched {
		f.late = !seen.switched.IsZero() && v.Now.Sub(seen.switched) >= detachPatience
	} else {
		f.late = !seen.at.IsZero() && v.Now.Sub(seen.at) >= migrateMax
	}
	for _, use := range d.Spec.Volumes {
		vol := v.State.VolumeByName(use.Name)
		if vol == nil {
			continue
		}
		switch d.Handover(vol) {
		case raft.HandoverFree:
			f.free = true
		case raft.HandoverHeld:
			f.held = true
		}
	}
	return f
}

// lostAsHost reports whether a host takes no guests any more, or its daemon is silent for longer than it may be. A
// coordinator that was started just now and leads has not heard everybody yet, which says nothing about them.
func (v *View) lostAsHost(n *raft.Node) bool {
	if !n.Has(raft.RoleHost) || n.Pending || n.Retiring || v.Condition(n.ID) == raft.NodeDead {
		return true
	}
	return v.Now.Sub(v.Facts.silentSince(n.ID)) >= v.Timing.DaemonSilent
}

// nextOfMigration returns what a migration needs now, nil while it waits.
func (v *View) nextOfMigration(d *raft.Domain) *raft.Command {
	m, facts := d.Migration, v.migrationFacts(d)
	switch step := stepOfMigration(facts); step {
	case migrationGives:
		why := sprintf("it took longer than %s", migrateMax)
		switch {
		case facts.fromDead:
			why = sprintf("its host %s is silent", v.State.NodeName(m.From))
		case facts.toGone:
			why = sprintf("host %s is silent or takes no guests any more", v.State.NodeName(m.To))
		}
		return &raft.Command{AbortMigration: &raft.AbortMigration{ID: m.Operation, Name: d.Name, Run: d.Run,
			Reason: why}}
	case migrationGrant, migrationTake:
		if d.Run != m.Run || d.Host != m.To {
			return nil // it was started anew since, with all of its volumes
		}
		attach := make([]volume.AttachID, len(d.Spec.Volumes))
		for i := range attach {
			attach[i] = v.attachID()
		}
		return &raft.Command{GrantMigration: &raft.GrantMigration{ID: m.Operation, Name: d.Name, Attach: attach,
			Takeover: step == migrationTake}}
	}
	return nil
}

// migrationWaitsFor says what a migration waits for before the guest is granted its volumes, "" if for nothing of its
// own.
func (v *View) migrationWaitsFor(o *raft.Operation) string {
	m, d := v.State.MigrationOf(o), v.State.Domains[o.Domain]
	switch {
	case m == nil:
		return ""
	case !m.Switched:
		return sprintf("the memory of the guest to be on %s", o.To)
	}
	var held []string
	for _, use := range d.Spec.Volumes {
		if vol := v.State.VolumeByName(use.Name); vol != nil && vol.Attach != nil && vol.Attach.Host != d.Host {
			held = append(held, use.Name)
		}
	}
	if len(held) == 0 {
		return ""
	}
	return sprintf("%s to detach %s", o.From, strings.Join(held, ", "))
}
