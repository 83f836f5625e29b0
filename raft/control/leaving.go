package control

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/raft"
)

const (
	// leavingMax is how many guests leave a host with their memory at the same time: the link is shared, and a guest
	// whose memory is copied more slowly than it changes never gets away.
	leavingMax = 2
	// leavingTries is how often a run of a guest is to be migrated away before it is started anew elsewhere.
	leavingTries = 3
)

// leavingStep is what happens next to a guest whose host is being emptied.
type leavingStep string

// The steps.
const (
	leavingWaits    leavingStep = "waits"    // for a host, or for its turn, or it leaves already
	leavingMigrates leavingStep = "migrates" // it runs on elsewhere
	leavingRestarts leavingStep = "restarts" // it ends here and starts elsewhere
)

// leavingFacts is all that is asked about such a guest.
type leavingFacts struct {
	moves   bool // it is migrated and has not switched, or runs already while the operation that moved it ends
	taker   bool // another host takes it
	movable bool // it can move while it runs
	tried   int  // migrations of this run that were given up
	crowded bool // as many as may leave the host now
}

// stepOfLeaving decides what is next. That a guest leaves comes before that it runs on.
func stepOfLeaving(f leavingFacts) leavingStep {
	switch {
	case f.moves, !f.taker:
		return leavingWaits
	case !f.movable, f.tried >= leavingTries:
		return leavingRestarts
	case f.crowded:
		return leavingWaits
	}
	return leavingMigrates
}

// leave returns what moves a domain away from its host, which is being emptied, nil while it waits.
func (v *View) leave(d *raft.Domain, host *raft.Node) []raft.Command {
	reason := fmt.Sprintf("host %s is being emptied", host.Name)
	to := v.ChooseHost(d.Spec, d.Host)
	var migrate *raft.Command
	if to != nil {
		migrate = v.migration(d, to, reason)
	}
	tried, last := v.State.MigrationsGivenUp(d)
	f := leavingFacts{moves: v.moves(d), taker: to != nil, movable: migrate != nil, tried: tried,
		crowded: v.leaving(host) >= leavingMax}
	switch stepOfLeaving(f) {
	case leavingMigrates:
		return []raft.Command{*migrate}
	case leavingRestarts:
		if f.movable {
			reason += fmt.Sprintf(", and %d migrations of its guest were given up, the last because %s", tried,
				last.Message)
		}
		return []raft.Command{v.Place(d, to.ID, reason)}
	}
	return nil
}

// moves reports whether something moves a domain now that ends soon by itself: a migration that has not switched, or
// the operation that brought a guest which could be migrated to where it runs now.
func (v *View) moves(d *raft.Domain) bool {
	if d.Migration != nil && !d.Migration.Switched {
		return true
	}
	return v.runsMovable(d) && v.State.OperationOf("domain/"+d.Name) != nil
}

// runsMovable reports whether a domain's guest runs and is one that can move meanwhile.
func (v *View) runsMovable(d *raft.Domain) bool {
	fact := v.Domain(d)
	return d.Spec.Driver == raft.DriverQEMU && fact != nil && fact.State == DomainRunning
}

// migration returns what migrates a domain's guest to a host, nil if it cannot be now: it does not run, the daemon of
// one of the hosts does not understand it, or the state would refuse it.
func (v *View) migration(d *raft.Domain, to *raft.Node, reason string) *raft.Command {
	if !v.runsMovable(d) {
		return nil
	}
	for _, host := range []*NodeFact{v.Facts.Nodes[d.Host], v.Facts.Nodes[to.ID]} {
		if host == nil || host.Knows < raft.VersionMigration {
			return nil
		}
	}
	c, refusal := raft.Command{BeginMigration: &raft.BeginMigration{Request: v.NewID(), Name: d.Name, Host: to.ID,
		Run: d.Run, Reason: reason}}.Gate(v.State.Version)
	if refusal != nil || v.State.Fork().Apply(c).Err != nil {
		return nil
	}
	return &c
}

// leaving counts the guests that are about to leave a host with their memory.
func (v *View) leaving(host *raft.Node) (n int) {
	for _, d := range v.State.Domains {
		if m := d.Migration; m != nil && !m.Switched && m.From == host.ID {
			n++
		}
	}
	return n
}
