package peer

import (
	"net/url"
	"strconv"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// The paths of images, which every node serves.
const (
	// PathImage is for nodes of the cluster: GET ?digest= answers the content, a range of it if asked. A node that has
	// not verified its file answers 503.
	PathImage = "/peer/v1/image"
	// PathImageDoubt is for nodes of the cluster: POST ?digest= says that what the node gave was not the content. It
	// reads its file anew.
	PathImageDoubt = "/peer/v1/image-doubt"
	// PathImageUpload is for coordinators alone, on behalf of who uploads an image: POST answers Uploaded for a new
	// upload, PUT ?upload=&at= appends the body, POST ?upload=&digest=&size= makes it content, DELETE ?upload= ends it.
	PathImageUpload = "/peer/v1/image-upload"
)

// ImageUpload is what is said of an upload, as the query of PathImageUpload.
type ImageUpload struct {
	ID     string
	At     int64         // where the bytes belong that come
	Digest volume.Digest // of the whole, when it is over; empty: whatever it is
	Size   int64         // of the whole; 0 is not known
}

// Values returns the query.
func (u ImageUpload) Values() url.Values {
	return url.Values{"upload": {u.ID}, "at": {strconv.FormatInt(u.At, 10)}, "digest": {string(u.Digest)},
		"size": {strconv.FormatInt(u.Size, 10)}}
}

// ParseImageUpload is the reverse of Values. What is no number is zero.
func ParseImageUpload(v url.Values) ImageUpload {
	at, _ := strconv.ParseInt(v.Get("at"), 10, 64)
	size, _ := strconv.ParseInt(v.Get("size"), 10, 64)
	return ImageUpload{ID: v.Get("upload"), At: at, Size: size, Digest: volume.Digest(v.Get("digest"))}
}

// Uploaded says how far an upload is.
type Uploaded struct {
	ID     string        `json:"id"`
	Bytes  int64         `json:"bytes"`            // that are there: the next belong here
	Digest volume.Digest `json:"digest,omitempty"` // of the content that it became
	Error  *api.Error    `json:"error,omitempty"`
}

// ImageOrder tells a node to have a blob. The orders of an assignment are in the order in which they matter.
type ImageOrder struct {
	Digest    volume.Digest `json:"digest"`
	SizeBytes int64         `json:"size_bytes"`
	Has       bool          `json:"has,omitempty"`  // the coordinators believe that it has it
	From      []Peer        `json:"from,omitempty"` // other nodes that have it
	// Alike: it matters as much as the order before it.
	Alike bool `json:"alike,omitempty"`
}

// ImageFile is an image that a guest boots from.
type ImageFile struct {
	Image  string        `json:"image"` // NAME@VERSION
	Digest volume.Digest `json:"digest"`
}

// ImageStatus is what a node does about a blob that it is to have and has not.
type ImageStatus struct {
	Digest    volume.Digest `json:"digest"`
	State     string        `json:"state"` // waiting, pulling, verifying, failed
	DoneBytes int64         `json:"done_bytes,omitempty"`
	Error     string        `json:"error,omitempty"` // of the last attempt
}
