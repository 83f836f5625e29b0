package raft

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// NewState returns the state of a cluster that has no name yet.
func NewState() *State {
	return &State{
		Version: StateVersion,
		Nodes:   make(map[volume.NodeID]*Node),
		Volumes: make(map[volume.ID]*Volume),
		Domains: make(map[string]*Domain),
		Tombs:   make(map[volume.LegID]Tombstone),
		Removed: make(map[volume.NodeID]time.Time),
		Joins:   make(map[string]*JoinToken),
		Tokens:  make(map[string]*APIToken),
		Images:  make(map[string]*Image),
		Blobs:   make(map[volume.Digest]*Blob),
	}
}

// VolumeByName returns the volume of this name, nil if there is none.
func (s *State) VolumeByName(name string) *Volume {
	for _, v := range s.Volumes { // names are unique, so the order of the map does not matter
		if v.Name == name {
			return v
		}
	}
	return nil
}

// NodeByName returns the node of this name. When a node is being replaced by another of the same
// name, the new one bears it; a node that only waits for that (Pending) does not. Nil if none.
func (s *State) NodeByName(name string) *Node {
	var found *Node
	for _, n := range s.Nodes { // the order of the map must not matter: equals are told apart by their id
		if n.Name == name && (found == nil || cmp.Or(cmp.Compare(nameRank(n), nameRank(found)),
			compareNodes(n.ID, found.ID)) < 0) {
			found = n
		}
	}
	return found
}

func nameRank(n *Node) int {
	switch {
	case n.Pending:
		return 2
	case n.Retiring:
		return 1
	}
	return 0
}

// NodeName returns a node's name for messages, or its id when it is not known.
func (s *State) NodeName(id volume.NodeID) string {
	if n := s.Nodes[id]; n != nil {
		return n.Name
	}
	return "node " + id.String()
}

// SortedNodes returns all nodes by name, then by id. The slice is the caller's, the nodes are not.
func (s *State) SortedNodes() []*Node {
	return slices.SortedFunc(maps.Values(s.Nodes), func(a, b *Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), compareNodes(a.ID, b.ID))
	})
}

// SortedVolumes returns all volumes by name. The slice is the caller's, the volumes are not.
func (s *State) SortedVolumes() []*Volume {
	return slices.SortedFunc(maps.Values(s.Volumes), func(a, b *Volume) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.ID.UUID[:], b.ID.UUID[:]))
	})
}

// SortedDomains returns all domains by name. The slice is the caller's, the domains are not.
func (s *State) SortedDomains() []*Domain {
	return slices.SortedFunc(maps.Values(s.Domains), func(a, b *Domain) int {
		return cmp.Compare(a.Name, b.Name)
	})
}

// LegByID returns the leg of this id and its volume, nil if no volume has it.
func (s *State) LegByID(id volume.LegID) (*Volume, *Leg) {
	for _, v := range s.Volumes { // ids are unique, so the order of the map does not matter
		if l := v.Leg(id); l != nil {
			return v, l
		}
	}
	return nil, nil
}

// DomainOf returns the running domain that uses a volume, nil if there is none.
func (s *State) DomainOf(volumeName string) *Domain {
	var found *Domain // the first by name: the order of the map must not matter
	for _, d := range s.Domains {
		if d.Running && d.Spec.Uses(volumeName) && (found == nil || d.Name < found.Name) {
			found = d
		}
	}
	return found
}

// Has reports whether the node has a role.
func (n *Node) Has(role Role) bool { return slices.Contains(n.Roles, role) }

// Leg returns the leg of this id, nil if the volume does not have it.
func (v *Volume) Leg(id volume.LegID) *Leg {
	for _, l := range v.Legs {
		if l.ID == id {
			return l
		}
	}
	return nil
}

// Config returns the volume's current configuration; the list is the caller's.
func (v *Volume) Config() volume.Config {
	return volume.Config{CfgVer: v.CfgVer, InSync: slices.Clone(v.InSync)}
}

// LegBytes returns how much data one leg of the volume holds when it is full.
func (v *Volume) LegBytes() int64 { return v.Layout.LegBytes(v.SizeBytes) }

// StoreBytes returns how much of its store one leg of the volume may come to take up, see volume.Layout.StoreBytes.
func (v *Volume) StoreBytes() int64 { return v.Layout.StoreBytes(v.SizeBytes) }

// Worth returns how many legs of the layout these legs stand for: two of parity in one slot count once.
func (v *Volume) Worth(legs []volume.LegID) int { return v.Layout.Worth(v.slots(legs)) }

// enough reports whether these legs have all of the volume.
func (v *Volume) enough(legs []volume.LegID) bool { return v.Layout.Enough(v.slots(legs)) }

// slots returns the slots of legs, -1 for one that the volume does not have.
func (v *Volume) slots(legs []volume.LegID) []int {
	slots := make([]int, len(legs))
	for i, id := range legs {
		slots[i] = -1
		if l := v.Leg(id); l != nil {
			slots[i] = l.Slot
		}
	}
	return slots
}

// Replacement returns the leg that takes the place of this one, nil if none does.
func (v *Volume) Replacement(old volume.LegID) *Leg {
	for _, l := range v.Legs {
		if l.Replaces == old {
			return l
		}
	}
	return nil
}

// inSync reports whether a leg is in the committed in-sync list.
func (v *Volume) inSync(leg volume.LegID) bool { return slices.Contains(v.InSync, leg) }

// fenced reports whether the current epoch has fenced a leg, so that no older epoch can use it.
func (v *Volume) fenced(leg volume.LegID) bool {
	l := v.Leg(leg)
	return l != nil && l.FencedEpoch == v.Epoch
}

// Uses reports whether the domain has a volume of this name.
func (d DomainSpec) Uses(volumeName string) bool {
	return slices.ContainsFunc(d.Volumes, func(v DomainVolume) bool { return v.Name == volumeName })
}

// MindsOthers reports whether the choice of the domain's host depends on where other domains are: a list of hosts
// decides by itself.
func (d DomainSpec) MindsOthers() bool { return len(d.Hosts) == 0 || d.AntiAffinity != "" }

func compareNodes(a, b volume.NodeID) int { return bytes.Compare(a.UUID[:], b.UUID[:]) }
func compareLegs(a, b volume.LegID) int   { return bytes.Compare(a.UUID[:], b.UUID[:]) }
func sortLegs(l []volume.LegID)           { slices.SortFunc(l, compareLegs) }
