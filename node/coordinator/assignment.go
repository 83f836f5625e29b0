package coordinator

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// BuildAssignment returns what a node is to do by a committed state, without its revision. It holds
// the secrets of the node's own grants. tRead is for grants that say none.
func BuildAssignment(s *raft.State, id volume.NodeID, tRead time.Duration) peer.Assignment {
	a := peer.Assignment{
		Lineage: lineage(s), Former: s.Former, Legs: []peer.LegOrder{}, Attach: []peer.Ticket{},
		Domains: []peer.DomainOrder{}, Peers: coordinators(s),
		Removed: removedNodes(s), Unregistered: unregisteredNodes(s),
	}
	n := s.Nodes[id]
	_, removed := s.Removed[id]
	if a.Registered = n != nil || removed; n == nil || n.Pending {
		return a
	}
	a.Adopt = s.Cluster.FromLegs
	for _, v := range volumesOn(s, id) {
		for _, l := range v.Legs {
			if l.Node == id && !v.Deleting {
				a.Legs = append(a.Legs, legOrder(v, l))
			}
		}
		if v.Attach != nil && v.Attach.Host == id {
			a.Attach = append(a.Attach, BuildTicket(s, v, tRead))
		}
	}
	a.Legs = append(a.Legs, deletions(s, id)...)
	a.Receive, a.Images, a.Clones = receiveOrders(s, id), imageOrders(s, id), cloneOrders(s, id)
	for _, d := range domainsOn(s, id) {
		if order, ok := domainOrder(s, d, id); ok {
			a.Domains = append(a.Domains, order)
		}
	}
	return a
}

// volumesOn returns the volumes with a leg on a node, or attached there, by name: few of all.
func volumesOn(s *raft.State, id volume.NodeID) []*raft.Volume {
	var found []*raft.Volume
	for _, v := range s.Volumes {
		if v.Attach != nil && v.Attach.Host == id ||
			slices.ContainsFunc(v.Legs, func(l *raft.Leg) bool { return l.Node == id }) {
			found = append(found, v)
		}
	}
	slices.SortFunc(found, func(a, b *raft.Volume) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.ID.UUID[:], b.ID.UUID[:]))
	})
	return found
}

// domainsOn returns the domains that are placed on a node, by name.
func domainsOn(s *raft.State, id volume.NodeID) []*raft.Domain {
	var found []*raft.Domain
	for _, d := range s.Domains {
		if d.Host == id {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b *raft.Domain) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// lineage is the restore that these coordinators come from.
func lineage(s *raft.State) peer.Lineage {
	return peer.Lineage{Incarnation: s.Cluster.Incarnation, Generation: s.Cluster.RestoreGen}
}

func coordinators(s *raft.State) []peer.Peer {
	peers := []peer.Peer{}
	for _, n := range s.SortedNodes() {
		if n.Has(raft.RoleCoordinator) && !n.Pending {
			peers = append(peers, peer.Peer{ID: n.ID, API: n.API})
		}
	}
	return peers
}

// removedNodes returns the nodes that left the cluster, the latest first, as many as an assignment has.
func removedNodes(s *raft.State) []volume.NodeID {
	ids := slices.SortedFunc(maps.Keys(s.Removed), func(a, b volume.NodeID) int {
		return cmp.Or(s.Removed[b].Compare(s.Removed[a]), bytes.Compare(a.UUID[:], b.UUID[:]))
	})
	return ids[:min(len(ids), peer.RemovedMax)]
}

// unregisteredNodes returns the nodes that have a certificate and nothing else, the latest first, as many as an
// assignment has.
func unregisteredNodes(s *raft.State) []volume.NodeID {
	var ids []volume.NodeID
	for _, j := range s.Unregistered() {
		ids = append(ids, j.Node)
	}
	slices.Reverse(ids)
	return ids[:min(len(ids), peer.RemovedMax)]
}

func legOrder(v *raft.Volume, l *raft.Leg) peer.LegOrder {
	action := peer.LegKeep
	if !l.Provisioned {
		action = peer.LegProvision
	}
	floor := l.FencedEpoch
	if v.Attach != nil && v.Attach.AcceptLoss {
		floor = 0 // the operator goes on from what the legs have; whether one is older is judged by what it reports
	}
	return peer.LegOrder{
		Leg: l.ID, Store: l.Store, Action: action, Volume: v.ID, VolumeName: v.Name, SizeBytes: v.SizeBytes,
		Layout: v.Layout, Slot: l.Slot, Durability: v.Durability, DataGen: v.DataGen,
		FloorEpoch: floor, Verify: v.VerifyAll,
	}
}

// deletions are the legs whose tombstones allow the node to delete them.
func deletions(s *raft.State, id volume.NodeID) []peer.LegOrder {
	var orders []peer.LegOrder
	for leg, tomb := range s.Tombs {
		if tomb.Node != id {
			continue
		}
		order := peer.LegOrder{Leg: leg, Store: tomb.Store, Action: peer.LegDelete, VolumeName: tomb.Volume}
		if v, l := s.LegByID(leg); l != nil {
			order = legOrder(v, l)
			order.Action = peer.LegDelete
		}
		orders = append(orders, order)
	}
	slices.SortFunc(orders, func(a, b peer.LegOrder) int {
		return slices.Compare(a.Leg.UUID[:],
			b.Leg.UUID[:])
	})
	return orders
}

// domainOrder returns the order to run a domain, if the node is its host and holds all its volumes.
func domainOrder(s *raft.State, d *raft.Domain, id volume.NodeID) (peer.DomainOrder, bool) {
	if !d.Running || d.Host != id {
		return peer.DomainOrder{}, false
	}
	order := peer.DomainOrder{Name: d.Name, Run: d.Run, Spec: d.RunSpec(), Salt: saltOf(d), Paused: d.Paused,
		Images: imageFiles(s, d)}
	switch m := d.Migration; {
	case m == nil:
	case !m.Switched && m.From == id && s.Nodes[m.To] != nil:
		order.Migrate = &peer.MigrateOrder{Operation: m.Operation, To: peer.Peer{ID: m.To, API: s.Nodes[m.To].API}}
	case m.Switched && m.To == id && m.Run == d.Run:
		order.TakenIn = m.Operation
	}
	for _, used := range d.Spec.Volumes {
		v := s.VolumeByName(used.Name)
		if v == nil || v.Attach == nil || v.Attach.Host != id || v.Attach.NoGuests() {
			return peer.DomainOrder{}, false
		}
		order.Volumes, order.Epochs = append(order.Volumes, v.ID), append(order.Epochs, v.Epoch)
	}
	return order, true
}

// saltOf returns what the UUID of a domain's guest is made from beside its name.
func saltOf(d *raft.Domain) string {
	if d.Salt.IsZero() {
		return ""
	}
	return d.Salt.String()
}

// receiveOrders are the guests that a node is to take in, by name, until they run there or their migrations have ended.
func receiveOrders(s *raft.State, id volume.NodeID) []peer.ReceiveOrder {
	var orders []peer.ReceiveOrder
	for _, d := range s.Domains {
		m := d.Migration
		if m == nil || m.To != id || m.Switched && d.Run != m.Run {
			continue
		}
		order := peer.ReceiveOrder{Operation: m.Operation, From: m.From, Name: d.Name, Run: m.Run, Spec: d.RunSpec(),
			Salt: saltOf(d), Images: imageFiles(s, d)}
		for _, used := range d.Spec.Volumes {
			if v := s.VolumeByName(used.Name); v != nil {
				order.Volumes, order.SizeBytes = append(order.Volumes, v.ID), append(order.SizeBytes, v.SizeBytes)
				order.Legs = append(order.Legs, receiveLegs(s, v)...)
			}
		}
		orders = append(orders, order)
	}
	slices.SortFunc(orders, func(a, b peer.ReceiveOrder) int { return cmp.Compare(a.Name, b.Name) })
	return orders
}

// receiveLegs are the legs in sync of a volume, in the order of its legs.
func receiveLegs(s *raft.State, v *raft.Volume) []peer.ReceiveLeg {
	var legs []peer.ReceiveLeg
	for _, l := range v.Legs {
		if n := s.Nodes[l.Node]; n != nil && slices.Contains(v.InSync, l.ID) {
			legs = append(legs, peer.ReceiveLeg{Volume: v.Name, Leg: l.ID, Node: n.Name, Portal: n.Portal})
		}
	}
	return legs
}

// BuildTicket returns what the engine of a volume's current attachment needs, with its secrets and
// without the revision. The volume must be attached: the grant was committed. tRead is for a grant that says none.
func BuildTicket(s *raft.State, v *raft.Volume, tRead time.Duration) peer.Ticket {
	t := peer.Ticket{
		Incarnation: s.Cluster.Incarnation, Former: s.Former, Generation: s.Cluster.RestoreGen,
		Volume: v.ID, Name: v.Name, SizeBytes: v.SizeBytes,
		Layout:     v.Layout,
		Durability: v.Durability, Epoch: v.Epoch, AttachID: v.Attach.ID, Maintenance: v.Attach.Maintenance,
		Detach: v.Attach.Detaching, Config: v.Config(), TRead: cmp.Or(v.Attach.TRead, tRead), Legs: []peer.TicketLeg{},
		Peers: coordinators(s), Limit: v.Limit, Exports: v.Exports,
		Credentials: v.Credentials,
	}
	if v.Attach.NoGuests() {
		t.Exports = nil // what is filled, or maintained, is nobody else's
	}
	if v.Scrub != nil && !v.Attach.Maintenance && !v.Attach.Detaching {
		t.Scrub = &peer.ScrubOrder{ID: v.Scrub.ID, Rate: v.Scrub.Rate, From: v.Scrub.From}
	}
	for _, l := range v.Legs {
		n := s.Nodes[l.Node]
		if n == nil || !l.Provisioned {
			continue // there is nothing to log in to
		}
		absent := l.State == volume.LegStale || l.State == volume.LegRebuilding
		t.Legs = append(t.Legs, peer.TicketLeg{
			ID: l.ID, Node: n.Name, Portal: n.Portal, Store: l.Store, Slot: l.Slot, State: l.State,
			Secret: volume.ChapSecret(n.ChapKey, s.Cluster.Incarnation, l.ID, v.Epoch, v.Attach.ID),
			Since:  l.LastISRCfg, Join: absent && !l.Retiring, Retiring: l.Retiring, Replaces: l.Replaces,
		})
	}
	slices.SortStableFunc(t.Legs, func(a, b peer.TicketLeg) int { return cmp.Compare(a.Slot, b.Slot) })
	return t
}
