package raft

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// Rebalance is an operator's wish that legs be moved until stores are even and volumes are spread. The leader
// moves them, one after the other; the wish outlives it, and ends when there is nothing left to move.
type Rebalance struct {
	Request volume.UUID `json:"request"`
	At      time.Time   `json:"at"`
	Moves   int         `json:"moves,omitempty"` // that were begun
}

// RequestRebalance wants legs to be moved. While that is wanted already it changes nothing.
type RequestRebalance struct {
	Request volume.UUID `json:"request"`
}

// EndRebalance ends the wish, unless it is another one by now. A move that has begun goes on to its end.
type EndRebalance struct {
	Request volume.UUID `json:"request"`
	Reason  string      `json:"reason"`
}

func (t *txn) requestRebalance(c *RequestRebalance) *Refusal {
	if c.Request.IsZero() {
		return invalid("a rebalancing needs an id")
	}
	if t.state.Rebalance != nil {
		return nil
	}
	t.state.Rebalance, t.changed = &Rebalance{Request: c.Request, At: t.at}, true
	t.event(SeverityInfo, "cluster", "rebalance_begun", "legs are moved until stores are even and volumes are spread")
	return nil
}

func (t *txn) endRebalance(c *EndRebalance) *Refusal {
	r := t.state.Rebalance
	if r == nil || r.Request != c.Request {
		return nil
	}
	t.state.Rebalance, t.changed = nil, true
	t.event(SeverityInfo, "cluster", "rebalance_ended", "no more legs are moved (%s); %d were", c.Reason, r.Moves)
	return nil
}

// countMove counts a move of a rebalancing. One that was decided before the wish ended is refused.
func (t *txn) countMove() *Refusal {
	if t.state.Rebalance == nil {
		return refuse(CodeRetry, "no rebalancing is wanted any more")
	}
	r := *t.state.Rebalance
	r.Moves++
	t.state.Rebalance, t.changed = &r, true
	return nil
}

// Settled returns the state as it will be once a leg that replaces another is in sync and the other is gone.
// It is for forecasts: it shares with s what differs not, and is no state that Apply makes.
func (s *State) Settled(id volume.ID, old volume.LegID, fresh NewLeg) *State {
	next := s.Fork()
	v := *s.Volumes[id]
	v.Legs = nil
	for _, l := range s.Volumes[id].Legs {
		if l.ID != old && l.Replaces != old {
			v.Legs = append(v.Legs, l)
		}
	}
	v.Legs = append(v.Legs, &Leg{ID: fresh.ID, Node: fresh.Node, Store: fresh.Store, Slot: fresh.Slot,
		State: volume.LegInSync, Provisioned: true})
	next.Volumes[id] = &v
	return next
}

// SharedDomains counts the pairs of legs of a volume that share a zone, and those that share a rack. Legs that
// have a replacement do not count. Fewer are better, zones first.
func (s *State) SharedDomains(id volume.ID) (zones, racks int) {
	var nodes []*Node
	v := s.Volumes[id]
	for _, l := range v.Legs {
		n := s.Nodes[l.Node]
		if n == nil || v.Replacement(l.ID) != nil {
			continue
		}
		for _, other := range nodes {
			if n.Location.Zone == other.Location.Zone {
				zones++
			}
			if n.Location.rack() == other.Location.rack() {
				racks++
			}
		}
		nodes = append(nodes, n)
	}
	return zones, racks
}
