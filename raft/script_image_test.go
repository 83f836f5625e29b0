package raft

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

// digest makes a digest of a word, by which it is shown.
func (s *script) digest(word string) volume.Digest {
	d := volume.DigestOf(sha256.Sum256([]byte(word)))
	s.names[string(d)], s.names[d.Short()] = "digest("+word+")", "digest("+word+")"
	return d
}

// parseImages reads the commands of images.
func (s *script) parseImages(c *Command, name string, w *words) bool {
	switch name {
	case "add_image": // NAME CONTENT NODE [version=N] [size=BYTES] [comment=WORD]
		c.AddImage = &AddImage{Name: w.next(), Digest: s.digest(w.next()), Holder: s.node(w.next()), SizeBytes: 1 << 20,
			Version: int(w.number("version")), Comment: w.keys["comment"]}
		if w.keys["size"] != "" {
			c.AddImage.SizeBytes = int64(w.number("size"))
		}
	case "delete_image": // NAME [version=N]
		c.DeleteImage = &DeleteImage{Name: w.next(), Version: int(w.number("version"))}
	case "place_blob": // CONTENT [add=NODE,…] [drop=NODE,…]
		p := &PlaceBlob{Digest: s.digest(w.next())}
		for _, n := range w.list("add") {
			p.Add = append(p.Add, s.node(n))
		}
		for _, n := range w.list("drop") {
			p.Drop = append(p.Drop, s.node(n))
		}
		c.PlaceBlob = p
	case "blob_held": // CONTENT NODE [lost] [reason=WORD]
		lost := w.flag("lost")
		c.BlobHeld = &BlobHeld{Digest: s.digest(w.next()), Node: s.node(w.next()), Has: !lost, Reason: w.keys["reason"]}
	case "pin": // DOMAIN IMAGE@VERSION
		c.PinDomain = &PinDomain{Name: w.next()}
		image, err := guest.ParseImage(w.next())
		if err != nil {
			s.t.Fatalf("%q: %v", w.line, err)
		}
		c.PinDomain.Image, c.PinDomain.Version = image.Name, image.Version
	case "rollback": // DOMAIN [from=IMAGE@VERSION], of its root; what it is pinned to now, if it is not said
		c.PinDomain = &PinDomain{Name: w.next(), Rollback: true}
		if d := s.state.Domains[c.PinDomain.Name]; d != nil {
			c.PinDomain.From = d.Spec.Machine.Pins()
		}
		if from := w.keys["from"]; from != "" {
			c.PinDomain.From.RootImage = "image:" + from
		}
	default:
		return false
	}
	return true
}

// showImages prints images, blobs and what domains boot from.
func (s *script) showImages(out io.Writer) {
	for _, i := range s.state.SortedImages() {
		fmt.Fprintf(out, "image %s last=%d", i.Name, i.Last)
		for _, v := range i.Versions {
			fmt.Fprintf(out, " %d=%s(%d)%s", v.Number, v.Digest, v.SizeBytes, v.Comment)
		}
		fmt.Fprintln(out)
	}
	for _, digest := range s.state.SortedBlobs() {
		b := s.state.Blobs[digest]
		fmt.Fprintf(out, "blob %s %d on", digest, b.SizeBytes)
		for _, h := range b.Holders {
			has := map[bool]string{true: "", false: "(not yet)"}[h.Has]
			fmt.Fprintf(out, " %s%s", s.state.NodeName(h.Node), has)
		}
		fmt.Fprintln(out)
	}
	for _, d := range s.state.SortedDomains() {
		fmt.Fprintf(out, "domain %s pinned to %s, runs with %s, back to %s; needs %s\n", d.Name,
			pinsText(d.Spec.Machine.Pins()), pinsText(d.RunSpec().Machine.Pins()), pinsText(d.RollsBackTo()),
			strings.Trim(fmt.Sprint(d.Images()), "[]"))
	}
}
