package coordinator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// An upload is a file on one node, of which the coordinators know nothing until it is whole: whoever leads passes each
// piece on to the node that the caller names, so that a change of the leader interrupts nothing.

// uploadTries is how many nodes are asked to take an upload.
const uploadTries = 5

// BeginUpload chooses a node for the content of a new version.
func (s service) BeginUpload(ctx context.Context, name string, r api.BeginUpload) (api.Upload, error) {
	object := "image/" + name
	if image, err := guest.ParseImage(name); err != nil || image.Version != 0 {
		return api.Upload{}, api.Errorf(api.CodeInvalid, object, "a name is as that of a volume; versions get their "+
			"numbers by themselves", "%q is no name of an image", name)
	}
	digest := volume.Digest(r.Digest)
	if digest != "" && digest.Check() != nil {
		return api.Upload{}, api.Errorf(api.CodeInvalid, object, "", "image %s: %s", name, digest.Check())
	}
	state, _ := s.raft.State()
	if !state.Uses(2) { // before all of it is sent for nothing
		return api.Upload{}, api.Errorf(api.CodeBusy, object, "holdfast cluster status",
			"images need cluster version 2, the cluster is at %d", state.Version)
	}
	var known int
	nodes, err := reading(s, func(v *control.View) ([]*raft.Node, error) {
		if same := v.State.Images[name].WithDigest(digest); same != nil && hasBlob(v, digest) {
			known = same.Number
		}
		return s.holdersFor(v), nil
	})
	if err != nil || known != 0 {
		return api.Upload{Version: known}, err
	}
	err = api.Errorf(api.CodeFailed, object, "", "image %s: no node takes it", name)
	for _, n := range nodes[:min(len(nodes), uploadTries)] {
		var up peer.Uploaded
		if up, err = s.upload(ctx, n, http.MethodPost, peer.ImageUpload{Size: r.SizeBytes}, nil); err == nil {
			return api.Upload{ID: up.ID, Node: n.ID.String()}, nil
		}
	}
	return api.Upload{}, about(object, err)
}

// AppendUpload passes on a piece of an upload.
func (s service) AppendUpload(ctx context.Context, name string, u api.Upload, data []byte) (api.Upload, error) {
	n, err := s.uploadNode(name, u.Node)
	if err != nil {
		return u, err
	}
	up, err := s.upload(ctx, n, http.MethodPut, peer.ImageUpload{ID: u.ID, At: u.Bytes}, data)
	u.Bytes = up.Bytes
	return u, about("image/"+name, err)
}

// FinishUpload makes what was sent a version.
func (s service) FinishUpload(ctx context.Context, name, upload string, r api.FinishUpload) (api.ImageVersion, error) {
	object := "image/" + name
	n, err := s.uploadNode(name, r.Node)
	if err != nil {
		return api.ImageVersion{}, err
	}
	up, err := s.upload(ctx, n, http.MethodPost, peer.ImageUpload{ID: upload, Digest: volume.Digest(r.Digest),
		Size: r.SizeBytes}, nil)
	if err != nil {
		return api.ImageVersion{}, about(object, err)
	}
	_, err = s.propose(ctx, object, raft.Command{AddImage: &raft.AddImage{Name: name, Version: r.Version,
		Digest: up.Digest, SizeBytes: up.Bytes, Comment: r.Comment, Holder: n.ID}})
	if err != nil {
		return api.ImageVersion{}, err
	}
	return reading(s, func(v *control.View) (api.ImageVersion, error) {
		i := v.State.Images[name]
		version := i.WithDigest(up.Digest)
		if version == nil {
			return api.ImageVersion{}, api.Errorf(api.CodeNotFound, object, "", "image %s: it was deleted meanwhile",
				name)
		}
		return showVersion(v, i, version), nil
	})
}

// AbortUpload forgets what was sent.
func (s service) AbortUpload(ctx context.Context, name string, u api.Upload) error {
	n, err := s.uploadNode(name, u.Node)
	if err != nil {
		return err
	}
	_, err = s.upload(ctx, n, http.MethodDelete, peer.ImageUpload{ID: u.ID}, nil)
	return about("image/"+name, err)
}

// uploadNode returns the node that has an upload.
func (s service) uploadNode(name, id string) (*raft.Node, error) {
	parsed, err := volume.ParseUUID(id)
	state, _ := s.raft.State()
	if n := state.Nodes[volume.NodeID{UUID: parsed}]; err == nil && n != nil {
		return n, nil
	}
	return nil, api.Errorf(api.CodeNotFound, "image/"+name, "begin the upload anew", "image %s: no node has the id %s",
		name, id)
}

// upload says something to the node that has an upload.
func (s service) upload(ctx context.Context, n *raft.Node, method string, u peer.ImageUpload, data []byte,
) (peer.Uploaded, error) {
	var up peer.Uploaded
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	address := s.opts.Scheme + "://" + n.API + peer.PathImageUpload + "?" + u.Values().Encode()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(data))
	if err != nil {
		return up, err
	}
	res, err := (&http.Client{Transport: s.opts.Reach(n.ID)}).Do(req)
	if err != nil {
		return up, api.Errorf(api.CodeUnknown, "", "ask again", "node %s does not take the image: %s", n.Name, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1024)) // what there is of it serves the message
		return up, api.Errorf(api.CodeFailed, "", "a node of an older release takes no images: upgrade it",
			"node %s answers %s: %s", n.Name, res.Status, bytes.TrimSpace(text))
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, peerBytesMax)).Decode(&up); err != nil {
		return up, api.Errorf(api.CodeUnknown, "", "ask again", "node %s: %s", n.Name, err)
	}
	if up.Error != nil {
		return up, up.Error
	}
	return up, nil
}

// about gives an error of an upload the image that it is about.
func about(object string, err error) error {
	var e *api.Error
	if errors.As(err, &e) && e.Object == "" {
		named := *e
		named.Object = object
		return &named
	}
	return err
}
