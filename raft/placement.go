package raft

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// Spot is a place for one leg.
type Spot struct {
	Node  volume.NodeID
	Store volume.StoreID
}

// StoreUse is what the caller knows of one store from heartbeats.
type StoreUse struct {
	Node  volume.NodeID
	Store volume.StoreID
	// FreeBytes is what may still be promised to legs: space that legs which are there, or are to come,
	// have not filled yet is taken off. TotalBytes is what it can hold in all; zero is not known.
	FreeBytes, TotalBytes int64
	NearlyFull            bool   // so little is really free that it takes no new leg
	Error                 string // why the store cannot be used; empty = it can
}

// PlaceRequest asks for places for legs.
type PlaceRequest struct {
	Legs int // how many
	// NeedBytes is what a store must have free; zero asks for none.
	NeedBytes int64
	// On restricts the choice to these nodes, by name, most preferred first; empty means any.
	On     []string
	Live   func(volume.NodeID) bool // whether a node answers now; nil = all do
	Stores []StoreUse               // stores that are known to work, with their space
	// Spread and Apart are demands of a new volume; PlaceReplacement takes those of the volume.
	Spread Spread
	Apart  []volume.ID
}

// Place chooses places for the legs of a new volume, leg after leg. Candidates are nodes that live, are
// neither pending nor being emptied, keep to what r demands, and have a store with enough space. Of
// these each leg gets the best by this order:
//
//  1. the most preferred of r.On;
//  2. the one whose zone has the fewest legs of the volume, then whose rack has;
//  3. the one that stays emptiest, in thousandths of what its store can hold;
//  4. the one with the fewest legs, then by name.
//
// So legs are spread over as many zones as there are, then over racks. The choice depends on nothing
// but the state and r. The error says what would be needed. It only proposes: Apply checks.
func (s *State) Place(r PlaceRequest) ([]Spot, error) {
	found, refused := s.candidates(r, s.apartFrom(volume.ID{}, r.Apart))
	placed := newSpreading(r.Spread)
	var spots []Spot
	for len(spots) < r.Legs {
		best := placed.best(found)
		if best < 0 {
			return nil, placeError(r, len(spots), refused)
		}
		spots = append(spots, found[best].spot)
		placed.take(found[best].node)
		found = slices.Delete(found, best, best+1)
	}
	return spots, nil
}

// PlaceReplacement chooses a place for the leg that replaces old: the node that takes the place of
// old's node if there is one; else as Place does beside the volume's other legs, on a node that holds
// none, before old's own node: another store of it, or the same one if old's data is gone. r.Legs,
// r.Spread and r.Apart are ignored.
func (s *State) PlaceReplacement(id volume.ID, old volume.LegID, r PlaceRequest) (Spot, error) {
	v := s.Volumes[id]
	if v == nil {
		return Spot{}, fmt.Errorf("place a leg: no volume %s", id)
	}
	leg := v.Leg(old)
	if leg == nil {
		return Spot{}, fmt.Errorf("place a leg: volume %s has no leg %s", v.Name, old)
	}
	r.Legs, r.Spread, r.Apart = 1, v.Spread, v.Apart
	taken, placed := s.apartFrom(id, v.Apart), newSpreading(v.Spread)
	for _, l := range v.Legs {
		if l.ID != old && l.Replaces != old {
			taken[l.Node] = fmt.Sprintf("holds another leg of volume %s", v.Name)
			// Only what stays once all replacements are in sync counts, unless a demand has to hold at all times.
			leaves := l.ID == leg.Replaces || v.Spread == SpreadAny && v.Replacement(l.ID) != nil
			if n := s.Nodes[l.Node]; n != nil && !leaves {
				placed.take(n)
			}
		}
	}
	found, refused := s.candidates(r, taken)
	found = slices.DeleteFunc(found, func(c candidate) bool {
		return c.spot.Node == leg.Node && c.spot.Store == leg.Store && leg.usable()
	})
	heir := volume.NodeID{}
	if n := s.Nodes[leg.Node]; n != nil {
		heir = n.ReplacedBy
	}
	rank := func(c candidate) int {
		switch {
		case c.spot.Node == heir:
			return 0
		case c.spot.Node != leg.Node:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(rank(a), rank(b)) })
	best := placed.best(found)
	if len(found) > 0 && rank(found[0]) == 0 && placed.allows(found[0].node) {
		best = 0
	}
	if best < 0 {
		return Spot{}, placeError(r, 0, refused)
	}
	return found[best].spot, nil
}

// spreading counts the legs of one volume in each failure domain.
type spreading struct {
	demand       Spread
	zones, racks map[string]int
}

func newSpreading(demand Spread) *spreading {
	return &spreading{demand, make(map[string]int), make(map[string]int)}
}

func (p *spreading) take(n *Node) {
	p.zones[n.Location.Zone]++
	p.racks[n.Location.rack()]++
}

// allows reports whether the demand lets another leg be on a node.
func (p *spreading) allows(n *Node) bool {
	return !(p.demand == SpreadZone && p.zones[n.Location.Zone] > 0) &&
		!(p.demand == SpreadRack && p.racks[n.Location.rack()] > 0)
}

// best returns which candidate the next leg should get, -1 if none may have it. Candidates that come
// earlier win among equals.
func (p *spreading) best(found []candidate) int {
	best := -1
	for i, c := range found {
		if p.allows(c.node) && (best < 0 || p.compare(c, found[best]) < 0) {
			best = i
		}
	}
	return best
}

// compare orders candidates by how much they share with the legs that are placed already.
func (p *spreading) compare(a, b candidate) int {
	return cmp.Or(
		cmp.Compare(a.preferred, b.preferred),
		cmp.Compare(p.zones[a.node.Location.Zone], p.zones[b.node.Location.Zone]),
		cmp.Compare(p.racks[a.node.Location.rack()], p.racks[b.node.Location.rack()]))
}
