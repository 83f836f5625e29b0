package control

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Reason is one link of a chain of causes: how something is, and below it why. The chain ends at what has
// no cause that the coordinators know of.
type Reason struct {
	Object   string      // volume/web1, leg/<id>, node/n2, domain/web1, engine/web1, cluster
	Says     string      // a sentence: how it is
	Status   Status      // what this alone makes of the cluster
	Since    time.Time   // zero if that is not known
	Progress float64     // 0 to 1, of a repair that runs
	Timers   []Timer     // the clocks that run for it, soonest first
	Next     string      // what happens next by itself; empty if nothing or if a cause below says it
	Do       []string    // what an operator can do, commands where there are any
	Last     *raft.Event // the last event about it, nil if there is none
	Because  []Reason
}

// Timer is a clock that runs.
type Timer struct {
	What string        // what it measures
	Left time.Duration // until it ends; zero if it is due
	Then string        // what follows
}

// ErrNoObject is wrapped by what Why returns for a name that nothing has, or that more than one thing has.
var ErrNoObject = errors.New("no such object")

// Why explains an object: volume/NAME, node/NAME, store/NODE/NAME, domain/NAME, image/NAME, leg/ID, operation/N,
// cluster, or a bare name, a number or a leg's id (its first four digits at least), if only one thing has it; an image
// may be named so only if nothing else has its name. The answer is of the moment of the view.
func Why(v *View, object string) (Reason, error) {
	w := &explainer{View: v, seen: map[string]bool{}}
	var found []func() Reason
	kind, name, isQualified := strings.Cut(object, "/")
	if !isQualified {
		kind, name = "", object
	}
	if object == "cluster" {
		return w.cluster(), nil
	}
	if d := v.State.Domains[name]; d != nil && (kind == "" || kind == "domain") {
		found = append(found, func() Reason { return w.domain(d) })
	}
	if vol := findVolume(v.State, name); vol != nil && (kind == "" || kind == "volume") {
		// A domain's chain contains its volumes, which mostly bear its name.
		if d := v.State.Domains[name]; kind != "" || d == nil || v.State.DomainOf(vol.Name) != d {
			found = append(found, func() Reason { return w.volume(vol) })
		}
	}
	if kind == "store" { // a finding's object: its node explains it
		kind, name = "node", strings.Split(name, "/")[0]
	}
	if n := findNode(v.State, name); n != nil && (kind == "" || kind == "node") {
		found = append(found, func() Reason { return w.node(n) })
	}
	if o := findOperation(v.State, name); o != nil && (kind == "" || kind == "operation") {
		found = append(found, func() Reason { return w.operation(o) })
	}
	if kind == "" || kind == "leg" {
		for _, vol := range v.sortedVolumes() {
			for _, l := range vol.Legs {
				if len(name) >= legDigits && strings.HasPrefix(l.ID.String(), name) {
					found = append(found, func() Reason { return w.leg(vol, l) })
				}
			}
		}
	}
	if i := v.State.Images[name]; i.Newest() != nil && (kind == "image" || kind == "" && len(found) == 0) {
		found = append(found, func() Reason { return w.image(i) })
	}
	switch len(found) {
	case 0:
		return Reason{}, fmt.Errorf("%w: nothing is called %q", ErrNoObject, object)
	case 1:
		return found[0](), nil
	}
	return Reason{}, fmt.Errorf("%w: %d things are called %q: say which, as in volume/%s, domain/%s, node/%s or "+
		"more digits of a leg's id", ErrNoObject, len(found), object, name, name, name)
}

// legDigits is how many digits of a leg's id name it at the least.
const legDigits = 4

func findVolume(s *raft.State, name string) *raft.Volume {
	if vol := s.VolumeByName(name); vol != nil {
		return vol
	}
	id, err := volume.ParseUUID(name)
	if err != nil {
		return nil
	}
	return s.Volumes[volume.ID{UUID: id}]
}

func findNode(s *raft.State, name string) *raft.Node {
	if n := s.NodeByName(name); n != nil {
		return n
	}
	id, err := volume.ParseUUID(name)
	if err != nil {
		return nil
	}
	return s.Nodes[volume.NodeID{UUID: id}]
}

// explainer builds one answer. An object that several chains end at is explained once.
type explainer struct {
	*View
	seen map[string]bool
}

// once begins the reason of an object. False means that it was explained before in this answer.
func (w *explainer) once(object, says string) (Reason, bool) { return w.onceBy(object, object, says) }

// onceBy is once for objects that may have one name, as a node and the one that replaces it.
func (w *explainer) onceBy(key, object, says string) (Reason, bool) {
	r := Reason{Object: object, Says: says, Status: Healthy}
	if w.seen[key] {
		r.Says += " (see above)"
		return r, false
	}
	w.seen[key] = true
	r.Last = w.lastEvent(object)
	return r, true
}

// lastEvent returns the newest event about an object, nil if none is kept.
func (v *View) lastEvent(object string) *raft.Event {
	for i := len(v.State.Events) - 1; i >= 0; i-- {
		if e := v.State.Events[i]; e.Object == object {
			return &e
		}
	}
	return nil
}

// take makes a reason of a finding, without what is below it.
func (w *explainer) take(f Finding) Reason {
	r := Reason{Object: f.Object, Says: f.Message, Status: f.Status, Since: f.Since, Progress: f.Progress,
		Next: f.Next}
	if f.Cause != "" {
		r.Says += ": " + f.Cause
	}
	if r.Since.IsZero() {
		r.Since = w.History[f.key()]
	}
	return r
}

// settled gives a reason the status of the worst below it and puts its timers in order.
func (r Reason) settled() Reason {
	for _, b := range r.Because {
		if b.Status.Rank() > r.Status.Rank() {
			r.Status = b.Status
		}
	}
	slices.SortStableFunc(r.Timers, func(a, b Timer) int { return cmp.Compare(a.Left, b.Left) })
	return r
}

// AllTimers returns the clocks that run for a reason and for what is below it, each once, soonest first.
func (r Reason) AllTimers() []Timer {
	all := slices.Clone(r.Timers)
	for _, b := range r.Because {
		for _, t := range b.AllTimers() {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Timer) int { return cmp.Compare(a.Left, b.Left) })
	return all
}

// clusterReasonsMax is how many objects the answer about the cluster goes through, worst first.
const clusterReasonsMax = 20

func (w *explainer) cluster() Reason {
	status, findings := Judge(w.View)
	r, _ := w.once("cluster", sprintf("the cluster is %s: %d coordinators vote, %d nodes, %d volumes, %d domains",
		status, len(w.Members), len(w.State.Nodes), len(w.State.Volumes), len(w.State.Domains)))
	if w.Leaderless {
		r.Because = append(r.Because, w.take(Leaderless(len(w.Members))))
	}
	left := 0
	for _, f := range findings {
		var next Reason
		kind, name, _ := strings.Cut(f.Object, "/")
		switch {
		case f.Object == "cluster":
			next = w.take(f)
		case w.seen[f.Object]:
			continue
		case len(r.Because) >= clusterReasonsMax:
			left++
			continue
		case kind == "volume":
			next = w.volume(w.State.VolumeByName(name))
		case kind == "domain":
			next = w.domain(w.State.Domains[name])
		case kind == "image":
			next = w.image(w.State.Images[name])
		case kind == "store":
			node, _, _ := strings.Cut(name, "/")
			n := w.State.NodeByName(node)
			if w.seen["node/"+n.ID.String()] {
				continue
			}
			next = w.node(n)
		case kind == "node":
			n := w.accused(f)
			if w.seen["node/"+n.ID.String()] {
				continue
			}
			next = w.node(n)
		default:
			next = w.take(f)
			if id, err := volume.ParseUUID(name); err == nil {
				if vol, l := w.State.LegByID(volume.LegID{UUID: id}); l != nil {
					next = w.leg(vol, l)
				}
			}
		}
		r.Because = append(r.Because, next)
	}
	if left > 0 {
		r.Next = sprintf("%d further findings: holdfast health lists them", left)
	}
	return r.settled()
}

// node explains a node. Silence is an end of the chain: its cause is not in reach of the coordinators.
func (w *explainer) node(n *raft.Node) Reason {
	condition := w.Condition(n.ID)
	heard := w.Facts.Nodes[n.ID]
	says := "answers"
	switch {
	case condition == raft.NodeDead && heard == nil:
		says = "is silent and was not heard since this coordinator runs"
	case condition == raft.NodeDead:
		says = "is silent"
	case heard == nil:
		says = "was not heard of yet"
	case condition == raft.NodeSuspect:
		says = "has missed heartbeats"
	}
	r, first := w.onceBy("node/"+n.ID.String(), "node/"+n.Name, sprintf("node %s %s", n.Name, says))
	if !first {
		return r
	}
	if heard != nil && condition != raft.NodeAlive {
		r.Since = heard.Heard
	}
	if left := w.deadIn(n.ID); condition == raft.NodeSuspect || condition == raft.NodeUnknown {
		then := "it counts as dead: legs on it are left out by their engines"
		if n.Has(raft.RoleHost) {
			then = "it counts as dead, and its domains are started elsewhere"
		}
		r.Timers = append(r.Timers, Timer{"its silence", left, then})
	}
	if condition == raft.NodeDead {
		r.Status, r.Next = Degraded, "it takes its place again as soon as it is heard"
		r.Do = []string{"look whether the machine, its network and its daemon run (" + n.API + ")",
			sprintf("if it is gone for good: holdfast node replace %s NEW", n.Name)}
	}
	for _, f := range w.nodeFindings(n) {
		if f.Kind != "node_silent" {
			r.Because = append(r.Because, w.take(f))
		}
	}
	r.Because = append(r.Because, w.waiting(r.Object)...)
	return r.settled()
}

// nodeFindings returns all that is wrong with a node, its coordinator too.
func (v *View) nodeFindings(n *raft.Node) []Finding {
	findings := v.judgeNode(n)
	if slices.Contains(v.Members, n.ID) && slices.Contains(v.Mute, n.ID) {
		findings = append(findings, v.judgeMute(n.ID)...)
	}
	return findings
}

// accused returns the node that a finding is about: of several of one name the one that has it.
func (v *View) accused(f Finding) *raft.Node {
	_, name, _ := strings.Cut(f.Object, "/")
	for _, n := range v.State.SortedNodes() {
		if n.Name == name && slices.Contains(v.nodeFindings(n), f) {
			return n
		}
	}
	return v.State.NodeByName(name)
}

// deadIn returns how long a node may be silent still before it counts as dead.
func (v *View) deadIn(id volume.NodeID) time.Duration {
	if v.Silent == nil {
		return 0
	}
	bound := v.Timing.DeadAfter
	if v.Bound != nil {
		bound = v.Bound(id)
	}
	return max(0, bound-v.Silent(id))
}

// domain explains a guest.
func (w *explainer) domain(d *raft.Domain) Reason {
	host := w.State.NodeName(d.Host)
	fact := w.Domain(d)
	if !d.Running {
		r, _ := w.once("domain/"+d.Name, sprintf("domain %s is stopped, by order", d.Name))
		r.Do = []string{"holdfast domain start " + d.Name}
		return r
	}
	says := sprintf("is placed on %s (run %d), which has not said that it runs", host, d.Run)
	switch {
	case fact != nil && w.Condition(d.Host) == raft.NodeDead:
		says = sprintf("was %s on %s (run %d) when that was heard last", fact.State, host, d.Run)
	case fact != nil:
		says = sprintf("is %s on %s (run %d)", fact.State, host, d.Run)
	}
	r, first := w.once("domain/"+d.Name, sprintf("domain %s %s", d.Name, says))
	if !first {
		return r
	}
	if fact != nil {
		r.Since = fact.Since
	}
	r.Because = append(r.Because, w.underWay(r.Object)...)
	if n := w.State.Nodes[d.Host]; n != nil && w.Condition(d.Host) == raft.NodeSuspect {
		r.Because = append(r.Because, w.node(n)) // its clock decides whether the domain moves
	}
	for _, f := range w.judgeDomain(d) {
		r.Because = append(r.Because, w.domainFinding(d, f))
	}
	if fail := w.Facts.restarts[d.Name]; fail != nil && fact != nil && fact.State == DomainExited {
		r.Timers = append(r.Timers, Timer{sprintf("the pause after end %d in a row", fail.count),
			max(0, backoff(fail.count)-w.Now.Sub(fail.last)), "it is started again on " + host})
	}
	for _, used := range d.Spec.Volumes {
		vol := w.State.VolumeByName(used.Name)
		switch {
		case vol == nil:
			r.Because = append(r.Because, Reason{Object: "volume/" + used.Name, Status: Down,
				Says: sprintf("it needs volume %s, which does not exist", used.Name),
				Do:   []string{"holdfast volume create " + used.Name + " …"}})
		case JudgeVolume(w.View, vol) != Healthy:
			r.Because = append(r.Because, w.volume(vol))
		}
	}
	return r.settled()
}

// domainFinding explains what is wrong with a domain.
func (w *explainer) domainFinding(d *raft.Domain, f Finding) Reason {
	r := w.take(f)
	if w.Condition(d.Host) != raft.NodeDead {
		return r
	}
	if host := w.State.Nodes[d.Host]; host != nil {
		r.Because = append(r.Because, w.node(host))
	}
	if w.Braked != "" {
		r.Because = append(r.Because, Reason{Object: "cluster", Status: Down, Says: w.Braked,
			Next: "the brake ends when hosts return", Do: []string{"holdfast domain failover " + d.Name}})
	}
	return r
}
