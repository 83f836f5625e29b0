package raft

import (
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// The bounds of Cluster.OverProvision, in percent.
const (
	OverProvisionMin     = 10
	OverProvisionDefault = 100
	OverProvisionMax     = 10000
)

// setLocation notes where a node stands.
func (t *txn) setLocation(c *SetLocation) *Refusal {
	n := t.state.Nodes[c.Node]
	if n == nil {
		return refuse(CodeNotFound, "no node has the id %s", c.Node)
	}
	moved := *n
	if c.Zone != nil {
		moved.Location.Zone = *c.Zone
	}
	if c.Rack != nil {
		moved.Location.Rack = *c.Rack
	}
	if err := moved.Location.Check(); err != nil {
		return invalid("node %s: %v", n.Name, err)
	}
	if moved.Location == n.Location {
		return nil
	}
	t.state.Nodes[n.ID], t.changed = &moved, true
	where := moved.Location.String()
	if where == "" {
		where = "nobody knows where"
	}
	t.event(SeverityInfo, "node/"+n.Name, "node_located", "node %s stands in: %s", n.Name, where)
	return nil
}

// setCluster changes settings of the cluster.
func (t *txn) setCluster(c *SetCluster) *Refusal {
	if c.OverProvision == nil {
		return invalid("the cluster: no setting is named")
	}
	percent := *c.OverProvision
	if percent < OverProvisionMin || percent > OverProvisionMax {
		return invalid("the cluster: over-provision of %d %% is out of bounds (%d to %d)",
			percent, OverProvisionMin, OverProvisionMax)
	}
	if percent == t.state.Cluster.OverProvisionPercent() {
		return nil
	}
	t.state.Cluster.OverProvision, t.changed = percent, true
	t.event(SeverityInfo, "cluster", "cluster_set", "up to %d %% of what a store can hold may be promised to legs",
		percent)
	return nil
}

// OverProvisionPercent returns how many percent of what a store can hold may be promised to legs.
func (c Cluster) OverProvisionPercent() int {
	if c.OverProvision == 0 {
		return OverProvisionDefault
	}
	return c.OverProvision
}

// checkPlacement returns what is wrong with what a new volume demands of the places of its legs.
func (t *txn) checkPlacement(c *CreateVolume) *Refusal {
	if err := c.Spread.Check(); err != nil {
		return invalid("volume %s: %v", c.Name, err)
	}
	for i, id := range c.Apart {
		if t.state.Volumes[id] == nil {
			return refuse(CodeNotFound, "volume %s is to be apart from one that does not exist (%s)", c.Name, id)
		}
		if slices.Contains(c.Apart[:i], id) {
			return invalid("volume %s is to be apart from %s twice", c.Name, t.state.Volumes[id].Name)
		}
	}
	return nil
}

// keepsApart returns why a new leg of v on a node would break what the volume demands of the places of
// its legs. The leg that it replaces does not count.
func (t *txn) keepsApart(v *Volume, node *Node, replaces volume.LegID) *Refusal {
	if why := t.state.apartFrom(v.ID, v.Apart)[node.ID]; why != "" {
		return invalid("volume %s: node %s %s", v.Name, node.Name, why)
	}
	if v.Spread == SpreadAny {
		return nil
	}
	domain, known := v.Spread.domainOf(node)
	if !known {
		return invalid("volume %s: nobody knows the %s of node %s: holdfast node set %s --%s NAME",
			v.Name, v.Spread, node.Name, node.Name, v.Spread)
	}
	for _, l := range v.Legs {
		other := t.state.Nodes[l.Node]
		if l.ID == replaces || other == nil {
			continue
		}
		if d, known := v.Spread.domainOf(other); known && d == domain {
			return invalid("volume %s: legs on %s and %s, which share a %s: the volume's spread forbids it",
				v.Name, other.Name, node.Name, v.Spread)
		}
	}
	return nil
}

// apartFrom returns the nodes that a volume keeps away from, each with why: those with legs of the
// volumes that it is apart from, or that are apart from it.
func (s *State) apartFrom(id volume.ID, apart []volume.ID) map[volume.NodeID]string {
	taken := make(map[volume.NodeID]string)
	for _, other := range s.Volumes { // of two on one node the first by name is told of, in any order
		if other.ID == id || !slices.Contains(apart, other.ID) && !slices.Contains(other.Apart, id) {
			continue
		}
		why := "holds a leg of volume " + other.Name + ", which this volume keeps apart from"
		for _, l := range other.Legs {
			if taken[l.Node] == "" || why < taken[l.Node] {
				taken[l.Node] = why
			}
		}
	}
	return taken
}
