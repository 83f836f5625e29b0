package coordinator

import (
	"reflect"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// concern tells which nodes' assignments and which volumes' tickets may differ between two states. Apply
// replaces what it changes, so what is the same object is unchanged.
func concern(before, after *raft.State, object func(volume.UUID), all func()) {
	if before.Cluster != after.Cluster || len(before.Removed) != len(after.Removed) ||
		differs(before.Nodes, after.Nodes, func(volume.NodeID, *raft.Node) {}) ||
		differs(before.Joins, after.Joins, func(string, *raft.JoinToken) {}) {
		all() // addresses stand in all of them, and who is no part of the cluster
	}
	node := func(id volume.NodeID) { object(id.UUID) }
	differs(before.Volumes, after.Volumes, func(id volume.ID, _ *raft.Volume) {
		concernVolume(before.Volumes[id], after.Volumes[id], object)
		if v := after.Volumes[id]; v != nil && v.Attach != nil { // who takes a guest in is told of its legs
			if d := after.Domains[v.Attach.Domain]; d != nil && d.Migration != nil {
				node(d.Migration.To)
			}
		}
	})
	differs(before.Tombs, after.Tombs, func(_ volume.LegID, t raft.Tombstone) { node(t.Node) })
	differs(before.Blobs, after.Blobs, func(_ volume.Digest, b *raft.Blob) {
		for _, h := range b.Holders {
			node(h.Node)
		}
	})
	differs(before.Domains, after.Domains, func(_ string, d *raft.Domain) {
		node(d.Host)
		if d.Migration != nil {
			node(d.Migration.From)
			node(d.Migration.To)
		}
	})
}

// concernVolume tells whom a change of one volume concerns, nil for one that is not there. Most changes are of what
// only the coordinators keep, or of one leg: a fence changes the order of its leg's node, and no ticket.
func concernVolume(before, after *raft.Volume, object func(volume.UUID)) {
	tickets, orders := true, true // for all that have one
	if before != nil && after != nil {
		tickets = !reflect.DeepEqual(ticketPart(before), ticketPart(after))
		orders = before.Deleting != after.Deleting
	}
	for _, forms := range [][2]*raft.Volume{{before, after}, {after, before}} {
		v, other := forms[0], forms[1]
		if v == nil {
			continue
		}
		if tickets {
			object(v.ID.UUID)
			if v.Attach != nil {
				object(v.Attach.Host.UUID)
			}
		}
		for _, l := range v.Legs {
			if orders || !sameOrder(v, l, other) {
				object(l.Node.UUID)
			}
		}
	}
}

// sameOrder reports whether a leg's node gets the same order for it by another form of the volume.
func sameOrder(v *raft.Volume, l *raft.Leg, other *raft.Volume) bool {
	o := other.Leg(l.ID)
	return o != nil && o.Node == l.Node && legOrder(v, l) == legOrder(other, o)
}

// ticketPart returns a volume without what stands in no ticket and decides no order of a domain. What is new in a
// volume counts as part of a ticket until somebody says here that it is none.
func ticketPart(v *raft.Volume) raft.Volume {
	part := *v
	part.Phase, part.Granted, part.Clean = "", nil, false
	part.Legs = make([]*raft.Leg, len(v.Legs))
	for i, l := range v.Legs {
		leg := *l
		leg.FencedEpoch, leg.Instance, leg.Shown, leg.Copied = 0, 0, nil, raft.Copied{}
		leg.LabelCfg, leg.LabelSeq, leg.LabelEpoch = 0, 0, 0
		part.Legs[i] = &leg
	}
	return part
}

// differs calls each with both forms of everything that is not the same in two maps, and reports whether
// there is any.
func differs[K, V comparable](before, after map[K]V, each func(K, V)) bool {
	found := false
	for key, value := range after {
		if old, ok := before[key]; !ok || old != value {
			found = true
			each(key, value)
			if ok {
				each(key, old)
			}
		}
	}
	for key, old := range before {
		if _, stays := after[key]; !stays {
			found = true
			each(key, old)
		}
	}
	return found
}
