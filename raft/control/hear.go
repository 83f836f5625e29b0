package control

import (
	"strconv"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// NodeReport is one heartbeat of a node's daemon. The receiver of HearNode owns it afterwards.
type NodeReport struct {
	Node  volume.NodeID
	Start uint64
	Seq   uint64
	PID   int
	Knows int // the highest cluster version that its release understands
	// Told is the incarnation whose coordinators heard of every leg on its disks since they were restored.
	Told    volume.ClusterID
	Stores  []StoreFact
	Legs    map[volume.LegID]*LegFact
	Domains map[string]*DomainFact
	Engines []EngineFact
	Images  map[volume.Digest]*ImageFact
	Looking bool // it has yet to find its domains and engines, and names none
	Health  NodeHealth
}

// HearNode takes a daemon's heartbeat. It reports whether anything but the time changed that a
// controller may act on. A heartbeat older than the last one changes nothing.
func (f *Facts) HearNode(now time.Time, r NodeReport) bool {
	old := f.Nodes[r.Node]
	if old == nil {
		old = &NodeFact{}
	}
	if old.Start == r.Start && r.Seq <= old.Seq || r.Start == old.earlier && old.earlier != 0 {
		return false
	}
	n := &NodeFact{
		Heard: now, Start: r.Start, Seq: r.Seq, PID: r.PID, Knows: r.Knows, Told: r.Told, Stores: r.Stores,
		Legs: r.Legs, Domains: r.Domains, Health: r.Health, Looking: r.Looking,
		Images:  r.Images,
		Engines: make(map[volume.AttachID]bool, len(r.Engines)), earlier: old.earlier,
	}
	if old.Start != r.Start {
		n.earlier = old.Start
	}
	changed := old.Heard.IsZero() || old.Start != r.Start || old.Told != r.Told || old.Looking != r.Looking ||
		len(old.Legs) != len(n.Legs) || len(old.Domains) != len(n.Domains) || !sameImages(old.Images, n.Images)
	for id, leg := range n.Legs {
		before := old.Legs[id]
		same := before != nil && before.Condition == leg.Condition && before.Error == leg.Error
		if leg.Since = now; same {
			leg.Since = before.Since
		}
		changed = changed || !same
	}
	for name, d := range n.Domains {
		before := old.Domains[name]
		same := before != nil && before.State == d.State && before.Run == d.Run
		if d.Since = now; same {
			d.Since = before.Since
		}
		changed = changed || !same
		if d.State == DomainExited && !same {
			f.countRestart(now, name, d.Run)
		}
	}
	for digest, image := range n.Images {
		before := old.Images[digest]
		if image.Since = now; before != nil && before.State == image.State {
			image.Since = before.Since
		}
	}
	for _, e := range r.Engines {
		n.Engines[e.AttachID] = true
		e.Node = r.Node
		changed = f.hearEngine(now, e) || changed
	}
	f.Nodes[r.Node] = n
	return changed
}

// HearAgain takes a daemon's heartbeat that says what its last one said. It reports whether that is known, is of
// the same start, and is older: one of which that is not so is told to HearNode.
func (f *Facts) HearAgain(now time.Time, node volume.NodeID, start, seq uint64) bool {
	n := f.Nodes[node]
	if n == nil || start != n.Start || seq <= n.Seq {
		return false
	}
	n.Heard, n.Seq = now, seq
	return true
}

// HearEngine takes an engine's own heartbeat and reports whether anything changed that a controller
// may act on.
func (f *Facts) HearEngine(now time.Time, e EngineFact) bool {
	e.Heard = now
	return f.hearEngine(now, e)
}

// hearEngine keeps the newest word of an engine. What is over stays over, whatever arrives late.
func (f *Facts) hearEngine(now time.Time, e EngineFact) bool {
	before := f.Engines[e.AttachID]
	if e.Heard.IsZero() && before != nil {
		e.Heard, e.Pace = before.Heard, before.Pace
	}
	if before != nil && !before.Began.IsZero() && (e.Began.IsZero() || before.Began.Before(e.Began)) {
		e.Began = before.Began // what took long on its way makes it look younger
	}
	switch {
	case before == nil:
		e.Since = now
	case before.State.over() && !e.State.over():
		return false
	case before.State == e.State:
		e.Since = before.Since
	default:
		e.Since = now
	}
	changed := before == nil || before.State != e.State || len(before.Stages) != len(e.Stages) ||
		!sameLegs(before.Legs, e.Legs)
	f.Engines[e.AttachID] = &e
	switch {
	case e.State == EngineFailed:
		f.countRegrant(now, e.Volume, e.AttachID)
	case e.State.Serves():
		delete(f.regrants, e.Volume) // the row of failures is broken
	}
	return changed
}

// sameLegs reports whether the legs are in the same states, whatever their progress.
func sameLegs(a, b []EngineLeg) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID || a[i].State != b[i].State {
			return false
		}
	}
	return true
}

// sameImages reports whether a node does the same about the same blobs, however far it is.
func sameImages(a, b map[volume.Digest]*ImageFact) bool {
	for digest, fact := range b {
		if a[digest] == nil || a[digest].State != fact.State {
			return false
		}
	}
	return len(a) == len(b)
}

func (f *Facts) countRestart(now time.Time, domain string, run uint64) {
	if f.restarts[domain] == nil {
		f.restarts[domain] = &failures{}
	}
	f.restarts[domain].note(now, strconv.FormatUint(run, 10))
}

func (f *Facts) countRegrant(now time.Time, v volume.ID, a volume.AttachID) {
	if f.regrants[v] == nil {
		f.regrants[v] = &failures{}
	}
	f.regrants[v].note(now, a.String())
}
