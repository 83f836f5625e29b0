package raft

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/volume"
)

// Location says where a node stands: which failures it shares with others. A field that is empty is
// not known; nodes of which it is not known count as standing together.
type Location struct {
	Zone string `json:"zone,omitempty" yaml:"zone,omitempty"` // a building, a room, a fire compartment
	Rack string `json:"rack,omitempty" yaml:"rack,omitempty"` // within the zone
}

// Check returns what is wrong with a location, nil if nothing is.
func (l Location) Check() error {
	for _, part := range []struct{ what, name string }{{"zone", l.Zone}, {"rack", l.Rack}} {
		if part.name == "" {
			continue
		}
		if err := volume.CheckName(part.what, part.name); err != nil {
			return err
		}
	}
	return nil
}

// String returns the location for people: "zone a, rack r1", "" if nothing is known.
func (l Location) String() string {
	switch {
	case l.Zone != "" && l.Rack != "":
		return "zone " + l.Zone + ", rack " + l.Rack
	case l.Zone != "":
		return "zone " + l.Zone
	case l.Rack != "":
		return "rack " + l.Rack
	}
	return ""
}

// Spread is a kind of failure domain of which no two legs of a volume may share one. Never do two
// legs share a node; that needs no saying.
type Spread string

// The spreads that a volume may demand.
const (
	SpreadAny  Spread = ""     // as wide as can be had, a choice that refuses nothing
	SpreadNode Spread = "node" // the same, said aloud
	SpreadRack Spread = "rack"
	SpreadZone Spread = "zone"
)

// Check returns what is wrong with a spread, nil if nothing is.
func (s Spread) Check() error {
	switch s {
	case SpreadAny, SpreadNode, SpreadRack, SpreadZone:
		return nil
	}
	return fmt.Errorf("spread %q is unknown (zone, rack or node)", string(s))
}

// domainOf returns the failure domain of this kind that a node is in, and whether it is known.
func (s Spread) domainOf(n *Node) (string, bool) {
	switch s {
	case SpreadZone:
		return n.Location.Zone, n.Location.Zone != ""
	case SpreadRack:
		return n.Location.rack(), n.Location.Rack != ""
	}
	return n.ID.String(), true
}

// rack names a rack beyond doubt: racks of two zones may bear one name.
func (l Location) rack() string { return l.Zone + "/" + l.Rack }
