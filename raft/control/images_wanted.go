package control

import (
	"slices"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// blobWants gathers on which hosts the domains may start that need each blob. It lives for one pass, and finds out
// only once what does not depend on the domain.
type blobWants struct {
	view     *View
	byName   map[string]volume.NodeID // hosts
	anywhere map[volume.Digest][]volume.NodeID
	hosts    map[volume.Digest]map[volume.NodeID]bool
}

// wantedBlobs returns the hosts on which a domain may start, by the blobs that it needs.
func (v *View) wantedBlobs() map[volume.Digest]map[volume.NodeID]bool {
	w := &blobWants{view: v, byName: make(map[string]volume.NodeID), anywhere: make(map[volume.Digest][]volume.NodeID),
		hosts: make(map[volume.Digest]map[volume.NodeID]bool, len(v.State.Blobs))}
	for _, d := range v.sortedDomains() {
		for _, i := range d.Images() {
			if version := v.State.ImageVersion(i); version != nil {
				w.add(d, version.Digest)
			}
		}
	}
	return w.hosts
}

// add takes in the hosts that get a blob ahead of time for a domain: all that its definition names, or, where it names
// none, as many as hold a blob anyway; and always the one where it is, and the one where it is migrated to.
func (w *blobWants) add(d *raft.Domain, digest volume.Digest) {
	hosts := w.hosts[digest]
	if hosts == nil {
		hosts = make(map[volume.NodeID]bool)
		w.hosts[digest] = hosts
	}
	for _, name := range d.Spec.Hosts {
		if id := w.hostOf(name); !id.IsZero() {
			hosts[id] = true
		}
	}
	if len(d.Spec.Hosts) == 0 {
		for _, id := range w.chosen(digest) {
			hosts[id] = true
		}
	}
	if d.Running {
		hosts[d.Host] = true
	}
	if d.Migration != nil {
		hosts[d.Migration.To] = true
	}
}

// hostOf returns the host of that name, zero if there is none.
func (w *blobWants) hostOf(name string) volume.NodeID {
	id, known := w.byName[name]
	if !known {
		if n := w.view.State.NodeByName(name); n != nil && n.Has(raft.RoleHost) {
			id = n.ID
		}
		w.byName[name] = id
	}
	return id
}

// chosen returns the hosts that have a blob for domains which may run anywhere.
func (w *blobWants) chosen(digest volume.Digest) []volume.NodeID {
	hosts, known := w.anywhere[digest]
	if known {
		return hosts
	}
	for _, n := range w.view.State.Nodes { // they are sorted, so the order of the map does not matter
		if n.Has(raft.RoleHost) && !n.Pending && !n.Retiring {
			hosts = append(hosts, n.ID)
		}
	}
	slices.SortFunc(hosts, func(a, b volume.NodeID) int { return compareRanks(digest, a, b) })
	hosts = hosts[:min(len(hosts), raft.BlobHolders)]
	w.anywhere[digest] = hosts
	return hosts
}
