package raft

import (
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

// The bounds of images.
const (
	ImageVersionsMax     = 1000 // of one image
	ImageBytesMax        = 16 << 40
	ImageCommentBytesMax = 200
	// ImageGapMax is how far the number of a version may be above the one before it: all numbers could be used up at
	// once otherwise, by a slip, and the image have no further version.
	ImageGapMax = 1000
	// BlobHolders is how many nodes hold each blob, or all if there are fewer.
	BlobHolders = 3
)

// Image is a name for content that guests boot from, version by version.
//
// Invariant: a number names one content for ever: it is given once, also when all versions are deleted.
type Image struct {
	Name     string         `json:"name"`
	Last     int            `json:"last"`     // the highest number that a version had
	Versions []ImageVersion `json:"versions"` // the oldest first; none once all are deleted
}

// ImageVersion is one content of an image.
type ImageVersion struct {
	Number    int           `json:"number"` // from 1
	Digest    volume.Digest `json:"digest"`
	SizeBytes int64         `json:"size_bytes"`
	Comment   string        `json:"comment,omitempty"`
	At        time.Time     `json:"at"` // when it was added
}

// Blob is a content, whatever versions have it, and which nodes have a file of it.
//
// Invariant: a blob is kept exactly as long as a version has its digest.
type Blob struct {
	SizeBytes int64    `json:"size_bytes"`
	Holders   []Holder `json:"holders"` // in the order in which they came
}

// Holder is a node that is to have a blob.
type Holder struct {
	Node volume.NodeID `json:"node"`
	Has  bool          `json:"has,omitempty"` // it said that it has it, and that the digest is right
}

// AddImage adds a version to an image, or a new image. Content that the image has as a version already is that
// version: then nothing changes.
type AddImage struct {
	Name      string        `json:"name"`
	Version   int           `json:"version,omitempty"` // its number; 0 is the next
	Digest    volume.Digest `json:"digest"`
	SizeBytes int64         `json:"size_bytes"`
	Comment   string        `json:"comment,omitempty"`
	Holder    volume.NodeID `json:"holder"` // which has it
}

// DeleteImage forgets a version of an image, or all of them if Version is 0, unless a domain needs one.
type DeleteImage struct {
	Name    string `json:"name"`
	Version int    `json:"version,omitempty"`
}

// PlaceBlob says which nodes are to have a blob, and which no more.
type PlaceBlob struct {
	Digest volume.Digest   `json:"digest"`
	Add    []volume.NodeID `json:"add,omitempty"`
	Drop   []volume.NodeID `json:"drop,omitempty"`
}

// BlobHeld is a node's word on whether it has a blob that it is to have.
type BlobHeld struct {
	Digest volume.Digest `json:"digest"`
	Node   volume.NodeID `json:"node"`
	Has    bool          `json:"has,omitempty"`
	Reason string        `json:"reason,omitempty"` // why it has it no more
}

// PinDomain has a domain boot from another version of an image that it boots from, from its next start on; with
// Rollback from those that it was pinned to before, and then Image and Version are empty.
type PinDomain struct {
	Name     string `json:"name"`
	Image    string `json:"image,omitempty"`
	Version  int    `json:"version,omitempty"`
	Rollback bool   `json:"rollback,omitempty"`
	// From is what a rollback was decided on. One of a domain that is pinned otherwise is refused, unless it is back
	// already.
	From guest.Pins `json:"from,omitzero"`
}

// Version returns the version of this number, nil if there is none.
func (i *Image) Version(number int) *ImageVersion {
	if i == nil {
		return nil
	}
	for k := range i.Versions {
		if i.Versions[k].Number == number {
			return &i.Versions[k]
		}
	}
	return nil
}

// WithDigest returns the version that has this content, nil if there is none.
func (i *Image) WithDigest(d volume.Digest) *ImageVersion {
	if i == nil {
		return nil
	}
	for k := range i.Versions {
		if i.Versions[k].Digest == d {
			return &i.Versions[k]
		}
	}
	return nil
}

// Newest returns the newest version, nil if there is none.
func (i *Image) Newest() *ImageVersion {
	if i == nil || len(i.Versions) == 0 {
		return nil
	}
	return &i.Versions[len(i.Versions)-1]
}

// Holder returns what is known of a node that is to have the blob, nil if it is not to.
func (b *Blob) Holder(node volume.NodeID) *Holder {
	for k := range b.Holders {
		if b.Holders[k].Node == node {
			return &b.Holders[k]
		}
	}
	return nil
}

// ImageVersion returns the version that a domain's file names, nil if there is none.
func (s *State) ImageVersion(i guest.Image) *ImageVersion { return s.Images[i.Name].Version(i.Version) }

// SortedImages returns the images that have a version, by name. The slice is the caller's, the images are not.
func (s *State) SortedImages() []*Image {
	var all []*Image
	for _, name := range slices.Sorted(maps.Keys(s.Images)) {
		if i := s.Images[name]; len(i.Versions) > 0 {
			all = append(all, i)
		}
	}
	return all
}

// SortedBlobs returns the digests of all blobs, sorted. The slice is the caller's.
func (s *State) SortedBlobs() []volume.Digest { return slices.Sorted(maps.Keys(s.Blobs)) }

// Images returns the versions that the domain needs, each once: those that it runs with, that it starts with next, and
// that it can be rolled back to.
func (d *Domain) Images() []guest.Image {
	var all []guest.Image
	for _, list := range [][]guest.Image{d.Boots.Images(), d.Spec.Machine.Images(), d.RollsBackTo().Images()} {
		for _, i := range list {
			if !slices.Contains(all, i) {
				all = append(all, i)
			}
		}
	}
	return all
}

// RollsBackTo returns what a rollback would pin the domain to. It is what the domain is pinned to if there is nothing
// to go back to.
func (d *Domain) RollsBackTo() guest.Pins { return d.Spec.Machine.PinsWith(d.Before) }

// RunSpec returns the definition that the domain's present run has: with the versions of images that it was started
// with, whatever it was pinned to since.
func (d *Domain) RunSpec() DomainSpec {
	spec := d.Spec
	if d.Boots != (guest.Pins{}) {
		spec.Machine = spec.Machine.Pinned(d.Boots)
	}
	return spec
}
