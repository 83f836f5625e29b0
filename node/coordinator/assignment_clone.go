package coordinator

import (
	"bytes"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// cloneOrders are the groups of clones that a host is to fill, in the order of their ids: those of which every clone
// and every source is attached there.
func cloneOrders(s *raft.State, id volume.NodeID) []peer.CloneOrder {
	groups := make(map[volume.UUID][]*raft.Volume)
	for _, v := range s.Volumes {
		if v.Filling() && !v.Deleting && v.Attach != nil && v.Attach.Filling && v.Attach.Host == id {
			groups[v.Clone.Group] = append(groups[v.Clone.Group], v)
		}
	}
	var orders []peer.CloneOrder
	for _, group := range groups {
		slices.SortFunc(group, func(a, b *raft.Volume) int { return strings.Compare(a.Name, b.Name) })
		if order, ok := cloneOrder(s, id, group); ok {
			orders = append(orders, order)
		}
	}
	slices.SortFunc(orders, func(a, b peer.CloneOrder) int { return bytes.Compare(a.Group[:], b.Group[:]) })
	return orders
}

func cloneOrder(s *raft.State, id volume.NodeID, group []*raft.Volume) (peer.CloneOrder, bool) {
	here := func(v *raft.Volume) bool {
		return v != nil && v.Phase == volume.PhaseAttached && v.Attach != nil && v.Attach.Host == id &&
			!v.Attach.Detaching
	}
	clone := group[0].Clone
	order := peer.CloneOrder{Group: clone.Group, Rate: clone.Rate}
	for _, v := range group {
		source := s.Volumes[v.Clone.Source]
		if !v.Filling() || !here(v) || !here(source) || v.Attach.SourceEpoch != source.Epoch {
			return order, false
		}
		order.Fills = append(order.Fills, peer.CloneFill{Volume: v.ID, Name: v.Name, Epoch: v.Epoch,
			Source: source.ID, SourceEpoch: source.Epoch})
	}
	return order, len(group) == clone.Of
}
