package raft

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// Spot is a place for one leg.
type Spot struct {
	Node  volume.NodeID
	Store volume.StoreID
}

// StoreUse is what the caller knows of one store from heartbeats.
type StoreUse struct {
	Node      volume.NodeID
	Store     volume.StoreID
	FreeBytes int64
	Error     string // why the store cannot be used; empty = it can
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
}

// Place chooses places for the legs of a new volume: on different nodes, live ones that are neither
// pending nor being replaced, with enough space; those with the fewest legs first, then those with
// the most space. The error says what would be needed. It only proposes: Apply checks.
func (s *State) Place(r PlaceRequest) ([]Spot, error) {
	found, refused := s.candidates(r, nil)
	if len(found) < r.Legs {
		return nil, placeError(r.Legs, len(found), refused)
	}
	spots := make([]Spot, r.Legs)
	for i, c := range found[:r.Legs] {
		spots[i] = c.spot
	}
	return spots, nil
}

// PlaceReplacement chooses a place for the leg that replaces old: the node that takes the place of
// old's node if there is one, else any that holds no leg of the volume, else old's own node: another
// store of it, or the same one if old's data is gone. r.Legs is ignored.
func (s *State) PlaceReplacement(id volume.ID, old volume.LegID, r PlaceRequest) (Spot, error) {
	v := s.Volumes[id]
	if v == nil {
		return Spot{}, fmt.Errorf("place a leg: no volume %s", id)
	}
	leg := v.Leg(old)
	if leg == nil {
		return Spot{}, fmt.Errorf("place a leg: volume %s has no leg %s", v.Name, old)
	}
	taken := make(map[volume.NodeID]string)
	for _, l := range v.Legs {
		if l.ID != old && l.Replaces != old {
			taken[l.Node] = fmt.Sprintf("holds another leg of volume %s", v.Name)
		}
	}
	found, refused := s.candidates(r, taken)
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
		case c.spot.Store != leg.Store || !leg.usable():
			return 2
		}
		return 3
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(rank(a), rank(b)) })
	if len(found) == 0 || rank(found[0]) == 3 {
		return Spot{}, placeError(1, 0, refused)
	}
	return found[0].spot, nil
}

// candidate is the best store of one node.
type candidate struct {
	name string
	spot Spot
	legs int
	free int64
}

// candidates returns one store of each node that can take a leg, best first, and why the others
// cannot, as sentences.
func (s *State) candidates(r PlaceRequest, taken map[volume.NodeID]string) ([]candidate, []string) {
	var found []candidate
	var refused []string
	legs := s.legsPerNode()
	for _, n := range s.SortedNodes() {
		if len(r.On) > 0 && !slices.Contains(r.On, n.Name) || !n.Has(RoleStorage) {
			continue
		}
		why := taken[n.ID]
		switch {
		case why != "":
		case n.Pending:
			why = "waits to replace a node of that name"
		case n.Retiring:
			why = "is being emptied"
		case r.Live != nil && !r.Live(n.ID):
			why = "does not answer"
		}
		if why != "" {
			refused = append(refused, n.Name+" "+why)
			continue
		}
		use, reason := bestStore(n, r)
		if reason != "" {
			refused = append(refused, n.Name+" "+reason)
			continue
		}
		found = append(found, candidate{n.Name, Spot{n.ID, use.Store}, legs[n.ID], use.FreeBytes})
	}
	for _, name := range r.On {
		if s.NodeByName(name) == nil {
			refused = append(refused, name+" is no node of this cluster")
		} else if !s.NodeByName(name).Has(RoleStorage) {
			refused = append(refused, name+" is no storage node")
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(slices.Index(r.On, a.name), slices.Index(r.On, b.name)),
			cmp.Compare(a.legs, b.legs), -cmp.Compare(a.free, b.free), cmp.Compare(a.name, b.name))
	})
	return found, refused
}

// bestStore returns the node's working store with the most space, or why it has none.
func bestStore(n *Node, r PlaceRequest) (StoreUse, string) {
	best, why := StoreUse{FreeBytes: -1}, "has no store that reports"
	for _, st := range n.Stores {
		for _, use := range r.Stores {
			switch {
			case use.Node != n.ID || use.Store != st.ID:
			case use.Error != "":
				why = fmt.Sprintf("store %s: %s", st.Name, use.Error)
			case use.FreeBytes < r.NeedBytes && best.FreeBytes < 0:
				why = fmt.Sprintf("has %s free of the %s needed",
					volume.FormatSize(use.FreeBytes), volume.FormatSize(r.NeedBytes))
			case use.FreeBytes >= r.NeedBytes && use.FreeBytes > best.FreeBytes:
				best = use
			}
		}
	}
	if best.FreeBytes < 0 {
		return StoreUse{}, why
	}
	return best, ""
}

// legsPerNode counts the legs on each node.
func (s *State) legsPerNode() map[volume.NodeID]int {
	count := make(map[volume.NodeID]int)
	for _, v := range s.Volumes {
		for _, l := range v.Legs {
			count[l.Node]++
		}
	}
	return count
}

func placeError(want, have int, refused []string) error {
	why := ""
	if len(refused) > 0 {
		why = ": " + strings.Join(refused, "; ")
	}
	return fmt.Errorf("%d storage nodes with a usable store are needed, %d can take a leg%s",
		want, have, why)
}
