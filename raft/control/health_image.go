package control

import (
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// BlobCopies says how well a blob is kept.
type BlobCopies struct {
	Living int // nodes that have it and answer
	Wanted int // that should
	// Progress is how far the copy is that is nearest to its end, 0 to 1.
	Progress float64
}

// BlobCopies counts the nodes that have a blob.
func (v *View) BlobCopies(digest volume.Digest) BlobCopies {
	blob := v.State.Blobs[digest]
	var c BlobCopies
	staying := 0
	for _, n := range v.State.Nodes { // all of them, so the order of the map does not matter
		if !n.Pending && !n.Retiring {
			staying++
		}
	}
	c.Wanted = min(raft.BlobHolders, staying)
	for _, h := range blob.Holders {
		switch {
		case h.Has && v.live(h.Node):
			c.Living++
		case !h.Has:
			c.Progress = max(c.Progress, v.BlobProgress(digest, h.Node))
		}
	}
	return c
}

// BlobProgress returns how much of a blob a node has, 0 to 1.
func (v *View) BlobProgress(digest volume.Digest, node volume.NodeID) float64 {
	blob := v.State.Blobs[digest]
	if h := blob.Holder(node); h != nil && h.Has {
		return 1
	}
	if n := v.Facts.Nodes[node]; n != nil && n.Images[digest] != nil && blob.SizeBytes > 0 {
		return min(1, float64(n.Images[digest].DoneBytes)/float64(blob.SizeBytes))
	}
	return 0
}

// judgeImages looks at what guests boot from.
func (v *View) judgeImages() []Finding {
	var out []Finding
	for _, i := range v.State.SortedImages() {
		for k := range i.Versions {
			out = append(out, v.judgeImage(i, &i.Versions[k])...)
		}
	}
	return out
}

func (v *View) judgeImage(i *raft.Image, version *raft.ImageVersion) []Finding {
	named := guest.Image{Name: i.Name, Version: version.Number}
	c := v.BlobCopies(version.Digest)
	f := Finding{Severity: raft.SeverityWarning, Status: Degraded, Object: "image/" + i.Name, Kind: "image_few_copies",
		Progress: c.Progress, Cause: v.blobTrouble(version.Digest),
		Message: sprintf("%d of %d nodes have image %s", c.Living, c.Wanted, named),
		Next:    "other nodes get it from those that have it"}
	switch {
	case c.Living >= c.Wanted:
		return nil
	case c.Living > 0:
		return []Finding{f}
	}
	f.Kind, f.Severity = "image_gone", raft.SeverityError
	f.Message = sprintf("no node that answers has image %s", named)
	f.Next = sprintf("start a node that has it, or holdfast image add %s FILE with the same content", i.Name)
	if needs := v.State.NeedImage(named); len(needs) > 0 {
		f.Status = AtRisk
		f.Message += ": " + strings.Join(needs, "; ")
	}
	return []Finding{f}
}

// blobTrouble says what keeps nodes from a blob, as a phrase, "" if nothing does.
func (v *View) blobTrouble(digest volume.Digest) string {
	var all []string
	for _, h := range v.State.Blobs[digest].Holders {
		n := v.Facts.Nodes[h.Node]
		switch {
		case h.Has && !v.live(h.Node):
			all = append(all, sprintf("%s has it and is silent", v.State.NodeName(h.Node)))
		case !h.Has && n != nil && n.Images[digest] != nil && n.Images[digest].Error != "":
			all = append(all, sprintf("%s: %s", v.State.NodeName(h.Node), n.Images[digest].Error))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// image explains an image.
func (w *explainer) image(i *raft.Image) Reason {
	r, first := w.once("image/"+i.Name, sprintf("image %s has %d versions", i.Name, len(i.Versions)))
	if !first {
		return r
	}
	for k := range i.Versions {
		for _, f := range w.judgeImage(i, &i.Versions[k]) {
			r.Because = append(r.Because, w.take(f))
		}
	}
	return r.settled()
}
