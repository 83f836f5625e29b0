package control

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// missingImages counts the images of a definition that a host does not have.
type missingImages struct {
	images   int
	hopeless int // of them, those that it cannot get: it says that it fails to, or no node that answers has it
}

// missing counts the images of a definition that each host does not have.
func (v *View) missing(spec raft.DomainSpec) map[volume.NodeID]missingImages {
	count := make(map[volume.NodeID]missingImages)
	for _, i := range spec.Machine.Images() {
		version := v.State.ImageVersion(i)
		if version == nil {
			continue
		}
		blob, living := v.State.Blobs[version.Digest], v.BlobCopies(version.Digest).Living
		for id := range v.State.Nodes {
			if h := blob.Holder(id); h != nil && h.Has {
				continue
			}
			m := count[id]
			m.images++
			if living == 0 || v.blobFails(id, version.Digest) {
				m.hopeless++
			}
			count[id] = m
		}
	}
	return count
}

// lacksImage says which image of a definition a host does not have, and why not yet, as a phrase; "" if it has all.
func (v *View) lacksImage(spec raft.DomainSpec, host volume.NodeID) string {
	for _, i := range spec.Machine.Images() {
		version := v.State.ImageVersion(i)
		if version == nil {
			continue
		}
		if h := v.State.Blobs[version.Digest].Holder(host); h != nil && h.Has {
			continue
		}
		how := sprintf("%.0f %% of it is there", 100*v.BlobProgress(version.Digest, host))
		if v.blobFails(host, version.Digest) {
			how = "it fails to get it: " + v.Facts.Nodes[host].Images[version.Digest].Error
		}
		return sprintf("%s does not have image %s: %s", v.State.NodeName(host), i, how)
	}
	return ""
}

// startElsewhere places a domain anew that its host has said for Timing.ImageStuck that it is starting, while it failed
// to get an image of this run; on the first other host, in the order of ChooseHost, that has all images, nil if none
// has. Nothing of the guest runs where it is, and its volumes are taken over as with every other move.
func (v *View) startElsewhere(d *raft.Domain) *raft.Command {
	fact := v.Domain(d)
	waits := fact != nil && (fact.State == DomainStarting || fact.State == DomainFailed) &&
		v.Now.Sub(fact.Since) >= v.Timing.ImageStuck
	if !waits || d.Paused || d.Migration != nil || d.Spec.Policy.Failover == guest.FailoverManual {
		return nil
	}
	image, why := v.stuckImage(d)
	if image == "" {
		return nil
	}
	missing := v.missing(d.Spec)
	for _, to := range v.rankHosts(d.Spec, d.Host, missing) {
		if missing[to.ID].images == 0 {
			c := v.Place(d, to.ID, fmt.Sprintf("host %s cannot get image %s: %s", v.State.NodeName(d.Host), image, why))
			return &c
		}
	}
	return nil
}

// stuckImage returns an image of a domain's run that its host has failed for Timing.ImageStuck to get, and why; "" if
// there is none.
func (v *View) stuckImage(d *raft.Domain) (image, why string) {
	for _, i := range d.RunSpec().Machine.Images() {
		version := v.State.ImageVersion(i)
		if version == nil || !v.blobFails(d.Host, version.Digest) {
			continue
		}
		if h := v.State.Blobs[version.Digest].Holder(d.Host); h != nil && h.Has {
			continue
		}
		if f := v.Facts.Nodes[d.Host].Images[version.Digest]; v.Now.Sub(f.Since) >= v.Timing.ImageStuck {
			return i.String(), f.Error
		}
	}
	return "", ""
}
