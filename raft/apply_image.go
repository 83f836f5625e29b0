package raft

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

// editImage returns a copy of an image, a new one if there is none, which takes its place in the state. Its versions
// are copies, too.
func (t *txn) editImage(name string) *Image {
	c := Image{Name: name}
	if old := t.state.Images[name]; old != nil {
		c = *old
		c.Versions = slices.Clone(old.Versions)
	}
	t.state.Images[name], t.changed = &c, true
	return &c
}

// editBlob is the same of a blob and its holders.
func (t *txn) editBlob(digest volume.Digest) *Blob {
	var c Blob
	if old := t.state.Blobs[digest]; old != nil {
		c = *old
		c.Holders = slices.Clone(old.Holders)
	}
	t.state.Blobs[digest], t.changed = &c, true
	return &c
}

// addImage adds a version.
func (t *txn) addImage(c *AddImage) *Refusal {
	if r := t.checkImage(c); r != nil {
		return r
	}
	image := t.state.Images[c.Name]
	if same := image.WithDigest(c.Digest); same != nil {
		if c.Version != 0 && c.Version != same.Number {
			return refuse(CodeExists, "image %s: this content is version %d already, not %d", c.Name, same.Number,
				c.Version)
		}
		t.holds(c.Digest, c.SizeBytes, c.Holder)
		return nil
	}
	number, last := c.Version, 0
	if image != nil {
		last = image.Last
	}
	switch {
	case number == 0:
		number = last + 1
	case number <= last:
		return refuse(CodeExists, "image %s: version %d was given already, to other content: the next is %d", c.Name,
			number, last+1)
	}
	switch {
	case number > guest.ImageVersionMax:
		return invalid("image %s: the number %d of a version is too high: it is %d at most", c.Name, number,
			guest.ImageVersionMax)
	case number > last+ImageGapMax:
		return invalid("image %s: the number %d of a version leaves out too many: the next is %d, and it is %d at most",
			c.Name, number, last+1, last+ImageGapMax)
	case image != nil && len(image.Versions) >= ImageVersionsMax:
		return invalid("image %s has %d versions, and no image has more: delete old ones", c.Name, ImageVersionsMax)
	}
	image = t.editImage(c.Name)
	image.Last = number
	image.Versions = append(image.Versions, ImageVersion{Number: number, Digest: c.Digest, SizeBytes: c.SizeBytes,
		Comment: c.Comment, At: t.at})
	t.holds(c.Digest, c.SizeBytes, c.Holder)
	t.event(SeverityInfo, "image/"+c.Name, "image_added", "version %d of image %s was added: %s, %s", number, c.Name,
		volume.SizeText(c.SizeBytes), c.Digest.Short())
	return nil
}

// checkImage returns what is wrong with a new version in itself.
func (t *txn) checkImage(c *AddImage) *Refusal {
	if named, err := guest.ParseImage(c.Name); err != nil || named.Version != 0 {
		return invalid("image name %q: want 1 to %d of a-z, 0-9, '-' and '.', a letter or digit at both ends", c.Name,
			guest.ImageNameMax)
	}
	if err := c.Digest.Check(); err != nil {
		return invalid("image %s: %v", c.Name, err)
	}
	blob := t.state.Blobs[c.Digest]
	switch {
	case c.Version < 0:
		return invalid("image %s: a version has a number from 1, %d is none", c.Name, c.Version)
	case c.SizeBytes < 1 || c.SizeBytes > ImageBytesMax:
		return invalid("image %s: a content of %d bytes: it has 1 to %d", c.Name, c.SizeBytes, int64(ImageBytesMax))
	case blob != nil && blob.SizeBytes != c.SizeBytes:
		return invalid("image %s: %s has %d bytes, not %d", c.Name, c.Digest.Short(), blob.SizeBytes, c.SizeBytes)
	case len(c.Comment) > ImageCommentBytesMax || strings.ContainsAny(c.Comment, "\n\x00"):
		return invalid("image %s: a comment is one line of %d bytes at most", c.Name, ImageCommentBytesMax)
	case t.state.Nodes[c.Holder] == nil:
		return refuse(CodeNotFound, "image %s: no node has the id %s", c.Name, c.Holder)
	}
	return nil
}

// holds notes that a node has a blob.
func (t *txn) holds(digest volume.Digest, size int64, node volume.NodeID) {
	if b := t.state.Blobs[digest]; b != nil {
		if h := b.Holder(node); h != nil && h.Has {
			return
		}
	}
	b := t.editBlob(digest)
	b.SizeBytes = size
	if h := b.Holder(node); h != nil {
		h.Has = true
		return
	}
	b.Holders = append(b.Holders, Holder{Node: node, Has: true})
}

// deleteImage forgets versions that no domain needs.
func (t *txn) deleteImage(c *DeleteImage) *Refusal {
	image := t.state.Images[c.Name]
	if c.Version != 0 && image.Version(c.Version) == nil || image.Newest() == nil {
		return refuse(CodeNotFound, "there is no image %s", guest.Image{Name: c.Name, Version: c.Version})
	}
	for _, v := range image.Versions {
		named := guest.Image{Name: c.Name, Version: v.Number}
		if c.Version != 0 && c.Version != v.Number {
			continue
		}
		if needs := t.state.NeedImage(named); len(needs) > 0 {
			return refuse(CodeBusy, "image %s is needed: %s", named, strings.Join(needs, "; "))
		}
	}
	image = t.editImage(c.Name)
	image.Versions = slices.DeleteFunc(image.Versions, func(v ImageVersion) bool {
		return c.Version == 0 || v.Number == c.Version
	})
	t.forgetBlobs()
	what := "every version"
	if c.Version != 0 {
		what = fmt.Sprintf("version %d", c.Version)
	}
	t.event(SeverityInfo, "image/"+c.Name, "image_deleted", "%s of image %s was deleted", what, c.Name)
	return nil
}

// NeedImage returns which domains need a version of an image and what for, as phrases, by name; none if nobody does.
func (s *State) NeedImage(i guest.Image) []string {
	var all []string
	for _, d := range s.SortedDomains() {
		switch {
		case slices.Contains(d.Spec.Machine.Images(), i):
			all = append(all, fmt.Sprintf("domain %s is pinned to it", d.Name))
		case slices.Contains(d.Boots.Images(), i):
			all = append(all, fmt.Sprintf("domain %s runs with it", d.Name))
		case slices.Contains(d.RollsBackTo().Images(), i):
			all = append(all, fmt.Sprintf("domain %s can be rolled back to it", d.Name))
		}
	}
	return all
}

// forgetBlobs forgets the content that no version has.
func (t *txn) forgetBlobs() {
	used := make(map[volume.Digest]bool)
	for _, i := range t.state.Images { // all of them, so the order of the map does not matter
		for _, v := range i.Versions {
			used[v.Digest] = true
		}
	}
	for digest := range t.state.Blobs { // likewise
		if !used[digest] {
			delete(t.state.Blobs, digest)
			t.changed = true
		}
	}
}

// placeBlob changes which nodes are to have a blob. The last that has it is never dropped.
func (t *txn) placeBlob(c *PlaceBlob) *Refusal {
	old := t.state.Blobs[c.Digest]
	if old == nil {
		return refuse(CodeNotFound, "no image has the content %s", c.Digest.Short())
	}
	has, left := 0, 0
	for _, h := range old.Holders {
		if h.Has {
			has++
			if !slices.Contains(c.Drop, h.Node) {
				left++
			}
		}
	}
	if has > 0 && left == 0 {
		return refuse(CodeLast, "content %s: nobody would have it any more", c.Digest.Short())
	}
	for _, id := range c.Add {
		if t.state.Nodes[id] == nil {
			return refuse(CodeNotFound, "content %s: no node has the id %s", c.Digest.Short(), id)
		}
	}
	holders := slices.DeleteFunc(slices.Clone(old.Holders), func(h Holder) bool {
		return slices.Contains(c.Drop, h.Node)
	})
	for _, id := range c.Add {
		if !slices.ContainsFunc(holders, func(h Holder) bool { return h.Node == id }) {
			holders = append(holders, Holder{Node: id})
		}
	}
	if !slices.Equal(holders, old.Holders) {
		t.editBlob(c.Digest).Holders = holders
	}
	return nil
}

// blobHeld takes a node's word on a blob.
func (t *txn) blobHeld(c *BlobHeld) *Refusal {
	b := t.state.Blobs[c.Digest]
	if b == nil || b.Holder(c.Node) == nil {
		return refuse(CodeStale, "node %s is not to have %s", t.state.NodeName(c.Node), c.Digest.Short())
	}
	if b.Holder(c.Node).Has == c.Has {
		return nil
	}
	t.editBlob(c.Digest).Holder(c.Node).Has = c.Has
	if !c.Has {
		name := t.state.NodeName(c.Node)
		t.event(SeverityWarning, "node/"+name, "image_lost", "node %s has %s no more (%s): it gets it again from "+
			"another node", name, t.state.blobName(c.Digest), cmp.Or(c.Reason, "it did not say why"))
	}
	return nil
}

// blobName returns the first version, by name, that has a content, or its digest.
func (s *State) blobName(digest volume.Digest) string {
	for _, i := range s.SortedImages() {
		if v := i.WithDigest(digest); v != nil {
			return "image " + guest.Image{Name: i.Name, Version: v.Number}.String()
		}
	}
	return digest.Short()
}

// dropHolder forgets a node that left the cluster.
func (t *txn) dropHolder(node volume.NodeID) {
	for _, digest := range t.state.SortedBlobs() {
		if t.state.Blobs[digest].Holder(node) != nil {
			b := t.editBlob(digest)
			b.Holders = slices.DeleteFunc(b.Holders, func(h Holder) bool { return h.Node == node })
		}
	}
}

// pinDomain changes which versions a domain starts with next.
func (t *txn) pinDomain(c *PinDomain) *Refusal {
	d, r := t.domain(c.Name)
	if r != nil {
		return r
	}
	was := d.Spec.Machine.Pins()
	if c.Rollback {
		to := d.RollsBackTo()
		switch {
		case c.Image != "" || c.Version != 0:
			return invalid("domain %s: a rollback names no image", d.Name)
		case c.From != was && c.From == to:
			return nil // the same decision, taken twice
		case c.From != was:
			return refuse(CodeRetry, "domain %s is pinned to %s, not to %s: look again", d.Name, pinsText(was),
				pinsText(c.From))
		case to == was:
			return invalid("domain %s was never pinned to another version than %s, so there is nothing to go back to",
				d.Name, pinsText(was))
		}
		return t.repin(d, to, "rolled back to")
	}
	wanted := guest.Image{Name: c.Image, Version: c.Version}
	has := slices.ContainsFunc(was.Images(), func(i guest.Image) bool { return i.Name == c.Image })
	switch {
	case c.Version < 1:
		return invalid("domain %s: name the version that it is to be pinned to, as in %s@3", d.Name, c.Image)
	case !has:
		return invalid("domain %s does not boot from image %s (%s): change its definition", d.Name, c.Image,
			pinsText(was))
	case t.state.ImageVersion(wanted) == nil:
		return refuse(CodeNotFound, "domain %s: there is no image %s", d.Name, wanted)
	}
	to, _ := d.Spec.Machine.ReplaceImages(func(_ string, i guest.Image) (string, error) {
		if i.Name == c.Image {
			i = wanted
		}
		return i.File(), nil
	})
	return t.repin(d, to.Pins(), "pinned to")
}

// repin pins a domain to what it was not pinned to.
func (t *txn) repin(d *Domain, to guest.Pins, how string) *Refusal {
	was := d.Spec.Machine.Pins()
	if to == was {
		return nil
	}
	for _, i := range to.Images() {
		if t.state.ImageVersion(i) == nil {
			return refuse(CodeNotFound, "domain %s: there is no image %s", d.Name, i)
		}
	}
	d = t.editDomain(d)
	d.Spec.Machine, d.Before = d.Spec.Machine.Pinned(to), was
	until := ""
	if d.Running {
		until = fmt.Sprintf("; until then it runs on %s with %s", t.state.NodeName(d.Host), pinsText(d.Boots))
	}
	t.event(SeverityInfo, "domain/"+d.Name, "domain_pinned", "domain %s is %s %s, it was %s: from its next start on%s",
		d.Name, how, pinsText(to), pinsText(was), until)
	return nil
}

// pinsText names the versions that a domain is pinned to.
func pinsText(p guest.Pins) string {
	var names []string
	for _, i := range p.Images() {
		names = append(names, i.String())
	}
	if len(names) == 0 {
		return "no image"
	}
	return strings.Join(names, ", ")
}

// checkPins refuses a definition that names an image which is not there, or no version of it.
func (t *txn) checkPins(spec DomainSpec) *Refusal {
	if !t.state.Uses(2) {
		return nil
	}
	for _, i := range spec.Machine.Images() {
		if i.Version == 0 {
			return invalid("domain %s: image %s has to be named with a version, as in %s@3", spec.Name, i.Name, i.Name)
		}
		if t.state.ImageVersion(i) == nil {
			return refuse(CodeNotFound, "domain %s: there is no image %s: holdfast image list shows those that exist",
				spec.Name, i)
		}
	}
	return nil
}
