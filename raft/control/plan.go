package control

import (
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Plan is what commands would do, and what the controllers would do because of them. It is found by
// letting both happen to a fork of the state, so what it says and what happens come from the same code;
// it holds as long as nothing else happens meanwhile.
type Plan struct {
	Steps []Step
	Bytes int64         // that are copied between nodes, at most
	Time  time.Duration // that copying takes at CopyRate for each node
	Risks []string      // sentences: what is worse while it goes on, or for good
}

// CopyRate is what a plan takes a node to receive or to give, in bytes a second. The guests' own I/O comes
// first, so a copy beside busy guests takes longer.
const CopyRate = 100 << 20

// Action is what a step does.
type Action string

// The actions of a step.
const (
	ActionRetire Action = "retire"      // a node is emptied: From; To takes its place, if it is named
	ActionLeave  Action = "leave"       // a node is forgotten
	ActionCopy   Action = "copy_leg"    // a leg is copied to another place, then the old one goes
	ActionMove   Action = "move_domain" // a guest ends on From and starts on To
	// ActionMigrate: a guest goes on on To as it was on From.
	ActionMigrate Action = "migrate_domain"
	ActionFence   Action = "fence"      // a host loses a volume, whatever state it is in
	ActionAttach  Action = "attach"     // a host gets a volume
	ActionDetach  Action = "detach"     // a host gives a volume up
	ActionDelete  Action = "delete_leg" // data is deleted for good
	// ActionPromote: a volume goes on from the leg on To alone. ActionGiveUp: the leg on From is never used again.
	ActionPromote Action = "promote"
	ActionGiveUp  Action = "give_up"
	ActionWait    Action = "wait" // something ought to happen and cannot: Note says what is needed
)

// Step is one thing that happens.
type Step struct {
	Action   Action
	Object   string // volume/web1, domain/web1, node/n2
	From, To string // names of nodes, with the store where that is what changes; empty where there is none
	Bytes    int64  // that are copied or deleted, at most
	InSync   int    // readable legs in sync that the volume has while a leg is copied
	Legs     int    // that it ought to have
	Note     string

	source string // node that a copy reads from
}

// Foresee returns what commands, applied one after the other now, would do. A refusal is Apply's own.
func (v *View) Foresee(commands ...raft.Command) (Plan, *raft.Refusal) {
	p := &planner{View: *v, underway: make(map[string]bool), out: make(map[string]int64), in: make(map[string]int64)}
	for _, c := range v.consequences() { // what happens in any case is not the commands' doing
		p.underway[subject(c)] = true
	}
	for _, s := range v.stuck() {
		p.underway[s.Object+s.From] = true
	}
	for _, c := range commands {
		if r := p.take(c); r != nil {
			return Plan{}, r
		}
	}
	p.follow()
	return p.plan, nil
}

// planner lets things happen to a fork of the state and notes them.
type planner struct {
	View
	plan     Plan
	underway map[string]bool
	in, out  map[string]int64 // bytes by node
}

// take describes a command and applies it.
func (p *planner) take(c raft.Command) *raft.Refusal {
	steps, risks := p.describe(c)
	next := p.State.Fork()
	if r := next.Apply(c).Err; r != nil {
		return r
	}
	if c.RequestRebalance != nil && p.State.Rebalance == nil {
		steps = p.describeMoves()
	}
	if c.BeginMigration != nil { // what comes next is of when it has moved
		next = next.Migrated(c.BeginMigration.Name)
	}
	p.State = next
	for _, s := range steps {
		p.plan.Steps = append(p.plan.Steps, s)
		if s.Action == ActionCopy {
			p.plan.Bytes += s.Bytes
			node, _, _ := strings.Cut(s.To, "/")
			p.in[node] += s.Bytes
			p.out[s.source] += s.Bytes
		}
	}
	for _, r := range risks {
		if !slices.Contains(p.plan.Risks, r) {
			p.plan.Risks = append(p.plan.Risks, r)
		}
	}
	return nil
}

// follow lets the controllers go on until they have nothing to say.
func (p *planner) follow() {
	for round := 0; round < 100; round++ {
		quiet := true
		for _, c := range p.consequences() {
			if p.underway[subject(c)] {
				continue
			}
			p.underway[subject(c)] = true // also if it is refused: it is tried again, and refused again
			if p.take(c) == nil {
				quiet = false
			}
		}
		if quiet {
			break
		}
	}
	for _, s := range p.stuck() {
		if !p.underway[s.Object+s.From] {
			p.plan.Steps = append(p.plan.Steps, s)
			p.plan.Risks = append(p.plan.Risks, sprintf("%s is not empty before %s can leave it", s.From, s.Object))
		}
	}
	for _, bytes := range []map[string]int64{p.in, p.out} {
		for _, n := range bytes {
			p.plan.Time = max(p.plan.Time, time.Duration(float64(n)/CopyRate*float64(time.Second)))
		}
	}
}

// consequences returns what the controllers that move things say now.
func (v *View) consequences() []raft.Command { return append(Domains(v), Replace(v)...) }

// subject names what a command is about, so that a repeated decision is recognised.
func subject(c raft.Command) string {
	switch {
	case c.PlaceDomain != nil:
		return "place " + c.PlaceDomain.Name
	case c.BeginMigration != nil:
		return "place " + c.BeginMigration.Name
	case c.ReplaceLeg != nil:
		return "replace " + c.ReplaceLeg.Old.String()
	case c.RequestDetach != nil:
		return "detach " + c.RequestDetach.Volume.String()
	}
	return c.Name()
}

// stuck returns what ought to leave nodes that are being emptied and finds no place.
func (v *View) stuck() []Step {
	var out []Step
	stores := v.Stores()
	for _, vol := range v.State.SortedVolumes() {
		for _, l := range vol.Legs {
			n := v.State.Nodes[l.Node]
			if vol.Deleting || n == nil || !n.Retiring || vol.Replacement(l.ID) != nil {
				continue
			}
			if _, err := v.placeReplacement(vol, l, stores); err != nil {
				out = append(out, Step{Action: ActionWait, Object: "volume/" + vol.Name, From: n.Name,
					InSync: v.readable(vol), Legs: vol.Layout.Legs(),
					Note: "its leg on " + n.Name + " has no place to go to: " + err.Error()})
			}
		}
		if a := vol.Attach; a != nil && a.Domain == "" && !a.NoGuests() {
			if n := v.State.Nodes[a.Host]; n != nil && n.Retiring {
				out = append(out, Step{Action: ActionWait, Object: "volume/" + vol.Name, From: n.Name,
					Note: sprintf("an operator attached it to %s: holdfast volume attach %s --host OTHER --takeover",
						n.Name, vol.Name)})
			}
		}
	}
	for _, d := range v.State.SortedDomains() {
		if n := v.State.Nodes[d.Host]; d.Running && n != nil && n.Retiring && v.ChooseHost(d.Spec, d.Host) == nil {
			out = append(out, Step{Action: ActionWait, Object: "domain/" + d.Name, From: n.Name,
				Note: "none of its other hosts can take it"})
		}
	}
	return out
}

// dataBytes returns how much of a leg has to be copied, at most: as much as a readable leg in sync holds.
func (v *View) dataBytes(vol *raft.Volume) int64 {
	bytes := vol.LegBytes()
	for _, l := range vol.Legs {
		if fact, condition := v.Leg(l); l.State == volume.LegInSync && condition == ConditionOK {
			bytes = min(bytes, fact.UsedBytes)
		}
	}
	return bytes
}
