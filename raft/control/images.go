package control

import (
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// ImageFact is what a node says of a blob that it is to have and has not.
type ImageFact struct {
	State     ImageState
	DoneBytes int64
	Error     string    // of the last attempt
	Since     time.Time // that it is in this state
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
	nodes, wanted := v.State.SortedNodes(), v.wantedBlobs()
	for _, digest := range v.State.SortedBlobs() {
		add, drop := chooseHolders(v.blobPlaces(digest, nodes, wanted[digest]), raft.BlobHolders)
		if len(add) > 0 || len(drop) > 0 {
			out = append(out, raft.Command{PlaceBlob: &raft.PlaceBlob{Digest: digest, Add: add, Drop: drop}})
		}
	}
	return out
}

// blobPlaces returns every node as a place for a blob.
func (v *View) blobPlaces(digest volume.Digest, nodes []*raft.Node, wanted map[volume.NodeID]bool) []blobPlace {
	blob := v.State.Blobs[digest]
	places := make([]blobPlace, 0, len(nodes))
	for _, n := range nodes {
		p := blobPlace{id: n.ID, zone: n.Location.Zone, lives: v.speaks(n.ID), stays: !n.Pending && !n.Retiring,
			wanted: wanted[n.ID], rank: blobRank(digest, n.ID), fails: v.blobFails(n.ID, digest),
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
