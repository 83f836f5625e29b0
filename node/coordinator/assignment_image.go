package coordinator

import (
	"cmp"
	"math"
	"slices"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// imageOrders are the blobs that a node is to have: those first that a guest waits for which is to run there, then
// those of domains that prefer it.
func imageOrders(s *raft.State, id volume.NodeID) []peer.ImageOrder {
	urgency := blobUrgency(s, id)
	var orders []peer.ImageOrder
	for _, digest := range s.SortedBlobs() {
		blob := s.Blobs[digest]
		self := blob.Holder(id)
		if self == nil {
			continue
		}
		order := peer.ImageOrder{Digest: digest, SizeBytes: blob.SizeBytes, Has: self.Has}
		for _, h := range blob.Holders {
			if n := s.Nodes[h.Node]; h.Has && n != nil && h.Node != id {
				order.From = append(order.From, peer.Peer{ID: n.ID, API: n.API})
			}
		}
		orders = append(orders, order)
	}
	slices.SortStableFunc(orders, func(a, b peer.ImageOrder) int {
		return cmp.Compare(urgencyOf(urgency, a.Digest), urgencyOf(urgency, b.Digest))
	})
	for i := 1; i < len(orders); i++ {
		orders[i].Alike = urgencyOf(urgency, orders[i].Digest) == urgencyOf(urgency, orders[i-1].Digest)
	}
	return orders
}

func urgencyOf(urgency map[volume.Digest]int, digest volume.Digest) int {
	if u, known := urgency[digest]; known {
		return u
	}
	return math.MaxInt
}

// blobUrgency says of the blobs that domains need how much a node matters to these: 0 if a guest is to run there, or
// its place in the list of hosts, from 1. The lowest counts.
func blobUrgency(s *raft.State, id volume.NodeID) map[volume.Digest]int {
	urgency := make(map[volume.Digest]int)
	for _, d := range s.SortedDomains() {
		place := slices.IndexFunc(d.Spec.Hosts, func(name string) bool {
			n := s.NodeByName(name)
			return n != nil && n.ID == id
		}) + 1
		switch {
		case d.Host == id || d.Migration != nil && d.Migration.To == id:
			place = 0
		case len(d.Spec.Hosts) == 0:
			place = 1
		case place == 0:
			continue
		}
		for _, i := range d.Images() {
			if v := s.ImageVersion(i); v != nil {
				urgency[v.Digest] = min(urgencyOf(urgency, v.Digest), place)
			}
		}
	}
	return urgency
}

// imageFiles are the images that the present run of a domain boots from.
func imageFiles(s *raft.State, d *raft.Domain) []peer.ImageFile {
	var files []peer.ImageFile
	for _, i := range d.RunSpec().Machine.Images() {
		file := peer.ImageFile{Image: i.String()}
		if v := s.ImageVersion(i); v != nil {
			file.Digest = v.Digest
		}
		files = append(files, file)
	}
	return files
}
