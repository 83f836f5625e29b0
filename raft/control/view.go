package control

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// View is all that controllers judge by. They change nothing in it.
type View struct {
	State *raft.State
	Facts *Facts
	Now   time.Time // from one monotonic clock
	// Condition says what is thought of a node now.
	Condition func(volume.NodeID) raft.Condition
	// Dead are the hosts whose domains may be started elsewhere now; Braked says why none is although
	// some are dead.
	Dead   []volume.NodeID
	Braked string
	// Members are the nodes that have a vote; empty means that they are not known. Learners get the log
	// but have none.
	Members, Learners []volume.NodeID
	// CaughtUp are the coordinators that lately said that they have the log, Mute those with a vote that
	// have not said so for long.
	CaughtUp, Mute []volume.NodeID
	// Leaderless: the view is of a coordinator that knows of no leader.
	Leaderless bool
	// Silent says how long a node has been silent, Bound after how much of it it counts as dead (nil: DeadAfter),
	// WaitLeft how much of the wait for reads of the host before is left in an epoch. Nil if that is not known; no
	// decision rests on them.
	Silent   func(volume.NodeID) time.Duration
	Bound    func(volume.NodeID) time.Duration
	WaitLeft func(volume.ID, volume.Epoch) time.Duration
	History  History // since when findings hold; explanations only read it
	// NewID makes a fresh identity; a simulator draws it from its seed.
	NewID  func() volume.UUID
	Timing Timing
	// Reserved is space of stores that is promised to legs whose making is being committed. Nil is none.
	Reserved map[volume.LegID]Reservation

	volumes []*raft.Volume // see sortedVolumes
	domains []*raft.Domain // see sortedDomains
}

// sortedVolumes returns all volumes by name. They are sorted once for all controllers, which change nothing.
func (v *View) sortedVolumes() []*raft.Volume {
	if v.volumes == nil {
		v.volumes = v.State.SortedVolumes()
	}
	return v.volumes
}

// sortedDomains returns all domains in the order in which they are started, by name among equals, likewise.
func (v *View) sortedDomains() []*raft.Domain {
	if v.domains == nil {
		v.domains = v.State.SortedDomains()
		slices.SortStableFunc(v.domains, func(a, b *raft.Domain) int {
			return cmp.Compare(a.Spec.Policy.StartOrder, b.Spec.Policy.StartOrder)
		})
	}
	return v.domains
}

// Timing tunes the controllers.
type Timing struct {
	DaemonSilent time.Duration // silence of a daemon after which its word counts no more
	EngineSilent time.Duration // the same of an engine, or one and a half times the pace of its heartbeats
	EngineGone   time.Duration // an engine that neither it nor its daemon speaks of for so long is gone
	Maintenance  time.Duration // a volume is detached for so long before it is maintained
	LegLost      time.Duration // a leg is lost for so long before another takes its place
	DeadAfter    time.Duration // silence after which a node counts as dead, for explanations
	Stalled      time.Duration // a job that makes no progress for so long is a finding; zero = none is
	ImageGone    time.Duration // a node is dead for so long before another gets the images that it had
	ImageStuck   time.Duration // a host fails to get an image for so long before its guest goes elsewhere
	Upgrade      time.Duration // all coordinators know a newer cluster version for so long before it is used
}

// DefaultTiming returns the timing for real clusters.
func DefaultTiming() Timing {
	return Timing{
		DaemonSilent: 2 * time.Second, EngineSilent: 3 * time.Second, EngineGone: 8 * time.Second,
		Maintenance: 10 * time.Second, LegLost: 5 * time.Second, DeadAfter: 2 * time.Second,
		Stalled: 2 * time.Minute, Upgrade: 10 * time.Minute, ImageGone: time.Minute,
		ImageStuck: 20 * time.Second, // the longest pause between two attempts is 15 s, so it failed more than once
	}
}

// Controllers runs all controllers and returns what should be proposed now, in this order.
func Controllers(v *View) []raft.Command {
	var out []raft.Command
	for _, controller := range []func(*View) []raft.Command{
		Failover, Domains, Migrations, Operations, Drills, Detachments, Replace, Rebalance, Retire, Maintain, Clones,
		Scrubs, Versions, Flaws, Images,
	} {
		out = append(out, controller(v)...)
	}
	return out
}

// live reports whether a node answers.
func (v *View) live(id volume.NodeID) bool {
	c := v.Condition(id)
	return c == raft.NodeAlive || c == raft.NodeSuspect && v.Facts.Nodes[id] != nil
}

// speaks reports whether the node's daemon itself answers, not only its engines.
func (v *View) speaks(id volume.NodeID) bool {
	n := v.Facts.Nodes[id]
	return n != nil && v.live(id) && v.Now.Sub(n.Heard) < v.Timing.DaemonSilent
}

// engine returns what is known of the engine of the volume's current attachment, nil if nothing.
func (v *View) engine(vol *raft.Volume) *EngineFact {
	if vol.Attach == nil {
		return nil
	}
	return v.Facts.Engines[vol.Attach.ID]
}

// Serving returns the engine that serves the volume's current attachment, nil if none does as far as was heard
// lately: a word of an engine counts while it is fresh, or while the engine's daemon says that it has it.
func (v *View) Serving(vol *raft.Volume) *EngineFact {
	e := v.engine(vol)
	if e == nil || e.Epoch != vol.Epoch || !e.State.Serves() {
		return nil
	}
	if n := v.Facts.Nodes[e.Node]; v.speaks(e.Node) && n.Engines[e.AttachID] {
		return e
	}
	if v.Now.Sub(e.Heard) < max(v.Timing.EngineSilent, e.Pace+e.Pace/2) {
		return e
	}
	return nil
}

// Domain returns what its host says of the domain's current run, nil if nothing.
func (v *View) Domain(d *raft.Domain) *DomainFact {
	n := v.Facts.Nodes[d.Host]
	if n == nil || n.Domains[d.Name] == nil || n.Domains[d.Name].Run != d.Run {
		return nil
	}
	return n.Domains[d.Name]
}

// Leg returns what the leg's node says of it, and its condition also when that says nothing.
func (v *View) Leg(l *raft.Leg) (LegFact, Condition) {
	n := v.Facts.Nodes[l.Node]
	switch {
	case !v.speaks(l.Node):
		return LegFact{}, ConditionUnreachable
	case n.Legs[l.ID] == nil:
		return LegFact{}, ConditionUnknown
	}
	return *n.Legs[l.ID], n.Legs[l.ID].Condition
}

// hostable reports whether new work may be placed on a host.
func (v *View) hostable(n *raft.Node) bool {
	return n.Has(raft.RoleHost) && !n.Pending && !n.Retiring && v.speaks(n.ID)
}

// Place returns the command that starts or moves a domain to a host, with fresh attachments for its
// volumes.
func (v *View) Place(d *raft.Domain, host volume.NodeID, reason string) raft.Command {
	attach := make([]volume.AttachID, len(d.Spec.Volumes))
	for i := range attach {
		attach[i] = volume.AttachID{UUID: v.NewID()}
	}
	place := &raft.PlaceDomain{
		Name: d.Name, Host: host, Run: d.Run, Takeover: true, Attach: attach, Reason: reason,
	}
	if d.Running && d.Host != host {
		place.Silent = v.silent(d.Host)
	}
	return raft.Command{PlaceDomain: place}
}

func (v *View) attachID() volume.AttachID { return volume.AttachID{UUID: v.NewID()} }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }
