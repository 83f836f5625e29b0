package coordinator

import (
	"context"
	"slices"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// Images lists the images.
func (s service) Images(context.Context) ([]api.Image, error) {
	return reading(s, func(v *control.View) ([]api.Image, error) {
		out := []api.Image{}
		for _, i := range v.State.SortedImages() {
			out = append(out, showImage(v, i))
		}
		return out, nil
	})
}

// Image shows one image.
func (s service) Image(_ context.Context, name string) (api.Image, error) {
	return reading(s, func(v *control.View) (api.Image, error) {
		i := v.State.Images[name]
		if i.Newest() == nil {
			return api.Image{}, api.Errorf(api.CodeNotFound, "image/"+name,
				"holdfast image list shows those that exist", "there is no image %s", name)
		}
		return showImage(v, i), nil
	})
}

// imageNames are the images that something is pinned to.
func imageNames(p guest.Pins) []string {
	var names []string
	for _, i := range p.Images() {
		names = append(names, i.String())
	}
	return names
}

func showImage(v *control.View, i *raft.Image) api.Image {
	out := api.Image{Name: i.Name, Versions: []api.ImageVersion{}}
	for k := range i.Versions {
		out.Versions = append(out.Versions, showVersion(v, i, &i.Versions[k]))
	}
	return out
}

func showVersion(v *control.View, i *raft.Image, version *raft.ImageVersion) api.ImageVersion {
	copies := v.BlobCopies(version.Digest)
	out := api.ImageVersion{Version: version.Number, Digest: string(version.Digest), SizeBytes: version.SizeBytes,
		Comment: version.Comment, AddedAt: version.At, Copies: copies.Living, Wanted: copies.Wanted,
		Holders:  []api.ImageHolder{},
		NeededBy: v.State.NeedImage(guest.Image{Name: i.Name, Version: version.Number})}
	if out.NeededBy == nil {
		out.NeededBy = []string{}
	}
	for _, h := range v.State.Blobs[version.Digest].Holders {
		holder := api.ImageHolder{Node: v.State.NodeName(h.Node), Has: h.Has,
			Progress: v.BlobProgress(version.Digest, h.Node)}
		if n := v.Facts.Nodes[h.Node]; !h.Has && n != nil && n.Images[version.Digest] != nil {
			holder.State, holder.Error = string(n.Images[version.Digest].State), n.Images[version.Digest].Error
		}
		out.Holders = append(out.Holders, holder)
	}
	return out
}

// DeleteImage forgets a version that no domain needs.
func (s service) DeleteImage(ctx context.Context, name string, version int) error {
	_, err := s.propose(ctx, "image/"+name, raft.Command{DeleteImage: &raft.DeleteImage{Name: name, Version: version}})
	return err
}

// PinDomain has a domain boot from another version from its next start on.
func (s service) PinDomain(ctx context.Context, name string, r api.PinDomain) (api.Domain, error) {
	image, err := guest.ParseImage(r.Image)
	if err != nil {
		return api.Domain{}, api.Errorf(api.CodeInvalid, "domain/"+name, "name it as in debian@3", "%s", err)
	}
	return s.repin(ctx, raft.PinDomain{Name: name, Image: image.Name, Version: image.Version})
}

// RollbackDomain has it boot from what it was pinned to before.
func (s service) RollbackDomain(ctx context.Context, name string, r api.RollbackDomain) (api.Domain, error) {
	state, _ := s.raft.State()
	d, err := findDomain(state, name)
	if err != nil {
		return api.Domain{}, err
	}
	if r.From == (guest.Pins{}) {
		r.From = d.Spec.Machine.Pins()
	}
	return s.repin(ctx, raft.PinDomain{Name: name, Rollback: true, From: r.From})
}

func (s service) repin(ctx context.Context, pin raft.PinDomain) (api.Domain, error) {
	if _, err := s.propose(ctx, "domain/"+pin.Name, raft.Command{PinDomain: &pin}); err != nil {
		return api.Domain{}, err
	}
	return s.Domain(ctx, pin.Name)
}

// versionsOf gives the images of a definition that come without a version one: that which the domain is pinned to, so
// that the same definition again changes nothing, or the newest there is.
func versionsOf(s *raft.State, spec raft.DomainSpec) (raft.DomainSpec, error) {
	var pinned []guest.Image
	if d := s.Domains[spec.Name]; d != nil {
		pinned = d.Spec.Machine.Images()
	}
	machine, err := spec.Machine.ReplaceImages(func(field string, i guest.Image) (string, error) {
		if i.Version == 0 {
			k := slices.IndexFunc(pinned, func(p guest.Image) bool { return p.Name == i.Name })
			newest := s.Images[i.Name].Newest()
			switch {
			case k >= 0:
				i = pinned[k]
			case newest != nil:
				i.Version = newest.Number
			default:
				return "", api.Errorf(api.CodeNotFound, "domain/"+spec.Name, "holdfast image add "+i.Name+" FILE",
					"domain %s: %s: there is no image %s", spec.Name, field, i.Name)
			}
		}
		return i.File(), nil
	})
	spec.Machine = machine
	return spec, err
}

// holdersFor returns the nodes that may get the content of a new version first: this one, then others that live.
func (s service) holdersFor(v *control.View) []*raft.Node {
	var nodes []*raft.Node
	for _, n := range v.State.SortedNodes() {
		if n.Pending || n.Retiring || n.ID != s.opts.Self && v.Condition(n.ID) != raft.NodeAlive {
			continue
		}
		if n.ID == s.opts.Self {
			nodes = slices.Insert(nodes, 0, n)
			continue
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// hasBlob reports whether a node that answers has a content.
func hasBlob(v *control.View, digest volume.Digest) bool {
	return v.State.Blobs[digest] != nil && v.BlobCopies(digest).Living > 0
}
