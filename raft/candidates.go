package raft

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// candidate is the best store of one node.
type candidate struct {
	node      *Node
	spot      Spot
	preferred int // its place in the request's list of nodes
	left      int // how empty the store stays, in thousandths
	legs      int // that the node has
}

// unfit is a node that can take no leg, and why, as the end of a sentence about it.
type unfit struct {
	node *Node // nil if the name belongs to none
	name string
	why  string
}

// candidates returns one store of each node that can take a leg, emptiest first, and the nodes that
// cannot.
func (s *State) candidates(r PlaceRequest, taken map[volume.NodeID]string) ([]candidate, []unfit) {
	var found []candidate
	var refused []unfit
	legs := s.legsPerNode()
	for _, n := range s.SortedNodes() {
		if len(r.On) > 0 && !slices.Contains(r.On, n.Name) || !n.Has(RoleStorage) {
			continue
		}
		why := taken[n.ID]
		_, known := r.Spread.domainOf(n)
		switch {
		case why != "":
		case n.Pending:
			why = "waits to replace a node of that name"
		case n.Retiring:
			why = "is being emptied"
		case r.Live != nil && !r.Live(n.ID):
			why = "does not answer"
		case !known:
			why = fmt.Sprintf("is in no %s that is known (holdfast node set %s --%s NAME)", r.Spread, n.Name, r.Spread)
		}
		if why != "" {
			refused = append(refused, unfit{n, n.Name, why})
			continue
		}
		use, reason := bestStore(n, r)
		if reason != "" {
			refused = append(refused, unfit{n, n.Name, reason})
			continue
		}
		found = append(found, candidate{n, Spot{n.ID, use.Store}, slices.Index(r.On, n.Name), use.left(r.NeedBytes),
			legs[n.ID]})
	}
	for _, name := range r.On {
		if s.NodeByName(name) == nil {
			refused = append(refused, unfit{nil, name, "is no node of this cluster"})
		} else if !s.NodeByName(name).Has(RoleStorage) {
			refused = append(refused, unfit{nil, name, "is no storage node"})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(-cmp.Compare(a.left, b.left), cmp.Compare(a.legs, b.legs), cmp.Compare(a.node.Name, b.node.Name))
	})
	return found, refused
}

// left returns how empty the store stays when need bytes more are promised, in thousandths of what it
// can hold: finer differences are noise of when its node was heard last.
func (u StoreUse) left(need int64) int {
	if u.TotalBytes <= 0 {
		return 0
	}
	return int(float64(u.FreeBytes-need) / float64(u.TotalBytes) * 1000)
}

// bestStore returns the node's working store that stays emptiest, the first among equals, or why it
// has none.
func bestStore(n *Node, r PlaceRequest) (StoreUse, string) {
	best, why, found := StoreUse{}, "has no store that reports", false
	for _, st := range n.Stores {
		for _, use := range r.Stores {
			switch {
			case use.Node != n.ID || use.Store != st.ID:
			case use.Error != "":
				why = fmt.Sprintf("store %s: %s", st.Name, use.Error)
			case use.NearlyFull:
				why = fmt.Sprintf("store %s is nearly full", st.Name)
			case use.FreeBytes < r.NeedBytes:
				why = fmt.Sprintf("has %s free of the %s needed",
					volume.FormatSize(use.FreeBytes), volume.FormatSize(r.NeedBytes))
			case !found || use.left(r.NeedBytes) > best.left(r.NeedBytes):
				best, found = use, true
			}
		}
	}
	if !found {
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

// placeError says what would be needed and why the nodes that take no leg do not.
func placeError(r PlaceRequest, have int, refused []unfit) error {
	what, grouped, are := "storage node", false, "is"
	if r.Spread == SpreadZone || r.Spread == SpreadRack {
		what, grouped = string(r.Spread), true
	}
	if r.Legs != 1 {
		what, are = what+"s", "are"
	}
	space := "a usable store"
	if r.NeedBytes > 0 {
		space = volume.FormatSize(r.NeedBytes) + " free"
	}
	reasons := make([]string, len(refused))
	for i, u := range refused {
		reasons[i] = u.name
		if domain, known := r.Spread.domainOf(orNode(u.node)); known && grouped {
			reasons[i] += " (" + string(r.Spread) + " " + domain + ")"
		}
		reasons[i] += " " + u.why
	}
	why := ""
	if len(reasons) > 0 {
		why = ": " + strings.Join(reasons, "; ")
	}
	return fmt.Errorf("%d %s with %s %s needed, %d can take a leg%s", r.Legs, what, space, are, have, why)
}

func orNode(n *Node) *Node {
	if n == nil {
		return &Node{}
	}
	return n
}
