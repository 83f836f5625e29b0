package control

import (
	"slices"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// ImageFact is what a node says of a blob that it is to have and has not.
type ImageFact struct {
	State     ImageState
	DoneBytes int64
	Error     string // of the last attempt
}

// ImageState is what a node does about a blob.
type ImageState string

// The states of a blob on a node that does not have it yet.
const (
	ImageWaiting   ImageState = "waiting"   // others come first, or nobody has it to give
	ImagePulling   ImageState = "pulling"   // it is copied from another node
	ImageVerifying ImageState = "verifying" // its file is read and held against its digest
	ImageFailed    ImageState = "failed"    // it could not be copied or kept, and is tried again
)

// Images says which nodes are to have the content of images.
//
// It guarantees that every blob is on its way to raft.BlobHolders nodes, or to all if there are fewer; that hosts on
// which a domain may start that needs it are among them, ahead of time; that a node which is dead for Timing.ImageGone,
// leaves, or cannot keep a blob is made up for by another one, unless so much is silent that it is rather the network;
// and that a node which need not have a blob is let go only once enough others have it.
func Images(v *View) []raft.Command {
	var out []raft.Command
	for _, digest := range v.State.SortedBlobs() {
		add, drop := chooseHolders(v.blobPlaces(digest), raft.BlobHolders)
		if len(add) > 0 || len(drop) > 0 {
			out = append(out, raft.Command{PlaceBlob: &raft.PlaceBlob{Digest: digest, Add: add, Drop: drop}})
		}
	}
	return out
}

// blobPlaces returns every node as a place for a blob, and every holder that is no node any more.
func (v *View) blobPlaces(digest volume.Digest) []blobPlace {
	blob, wanted := v.State.Blobs[digest], v.wantBlob(digest)
	var places []blobPlace
	for _, n := range v.State.SortedNodes() {
		p := blobPlace{id: n.ID, zone: n.Location.Zone, lives: v.speaks(n.ID), stays: !n.Pending && !n.Retiring,
			wanted: slices.Contains(wanted, n.ID), rank: blobRank(digest, n.ID), fails: v.blobFails(n.ID, digest),
			gone: v.imageGone(n.ID)}
		if h := blob.Holder(n.ID); h != nil {
			p.listed, p.has = true, h.Has
		}
		places = append(places, p)
	}
	return places
}

// blobFails reports whether a node says that it cannot get or keep a blob.
func (v *View) blobFails(id volume.NodeID, digest volume.Digest) bool {
	n := v.Facts.Nodes[id]
	return n != nil && n.Images[digest] != nil && n.Images[digest].State == ImageFailed
}

// imageGone reports whether a node has been dead for so long that another one is to have what it had.
func (v *View) imageGone(id volume.NodeID) bool {
	return v.Condition(id) == raft.NodeDead && v.Now.Sub(v.Facts.silentSince(id)) >= v.Timing.ImageGone &&
		!v.mostAreSilent()
}

// wantBlob returns the hosts on which a domain may start that needs a blob.
func (v *View) wantBlob(digest volume.Digest) []volume.NodeID {
	var hosts []volume.NodeID
	for _, d := range v.sortedDomains() {
		needs := slices.ContainsFunc(d.Images(), func(i guest.Image) bool {
			version := v.State.ImageVersion(i)
			return version != nil && version.Digest == digest
		})
		if needs {
			hosts = append(hosts, v.mayRunOn(d, digest)...)
		}
	}
	return hosts
}

// mayRunOn returns the hosts that get a blob ahead of time for a domain: all that its definition names, or, where it
// names none, as many as hold a blob anyway; and always the one where it is, and the one where it is migrated to.
func (v *View) mayRunOn(d *raft.Domain, digest volume.Digest) []volume.NodeID {
	var hosts []volume.NodeID
	for _, name := range d.Spec.Hosts {
		if n := v.State.NodeByName(name); n != nil && n.Has(raft.RoleHost) {
			hosts = append(hosts, n.ID)
		}
	}
	if len(d.Spec.Hosts) == 0 {
		for _, n := range v.State.SortedNodes() {
			if n.Has(raft.RoleHost) && !n.Pending && !n.Retiring {
				hosts = append(hosts, n.ID)
			}
		}
		slices.SortFunc(hosts, func(a, b volume.NodeID) int { return compareRanks(digest, a, b) })
		hosts = hosts[:min(len(hosts), raft.BlobHolders)]
	}
	if d.Running {
		hosts = append(hosts, d.Host)
	}
	if d.Migration != nil {
		hosts = append(hosts, d.Migration.To)
	}
	return hosts
}

// onlyHolder says which content a node that speaks has and no other node that answers, as a phrase, "" if there is
// none.
func (v *View) onlyHolder(id volume.NodeID) string {
	if !v.speaks(id) {
		return "" // there is nobody to get it from
	}
	for _, i := range v.State.SortedImages() {
		for _, version := range i.Versions {
			blob := v.State.Blobs[version.Digest]
			mine, others := blob.Holder(id), 0
			for _, h := range blob.Holders {
				if h.Node != id && h.Has && v.live(h.Node) {
					others++
				}
			}
			if mine != nil && mine.Has && others == 0 && len(v.State.Nodes) > 1 {
				return sprintf("no other node has image %s yet", guest.Image{Name: i.Name, Version: version.Number})
			}
		}
	}
	return ""
}

// lacks counts the images of a definition that each host does not have.
func (v *View) lacks(spec raft.DomainSpec) map[volume.NodeID]int {
	count := make(map[volume.NodeID]int)
	for _, i := range spec.Machine.Images() {
		version := v.State.ImageVersion(i)
		if version == nil {
			continue
		}
		blob := v.State.Blobs[version.Digest]
		for id := range v.State.Nodes {
			if h := blob.Holder(id); h == nil || !h.Has {
				count[id]++
			}
		}
	}
	return count
}
