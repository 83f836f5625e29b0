package api

import (
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

// Image is a name for content that guests boot from, version by version.
type Image struct {
	Name     string         `json:"name"`
	Versions []ImageVersion `json:"versions" doc:"the oldest first"`
}

// ImageVersion is one content of an image.
type ImageVersion struct {
	Version   int           `json:"version" doc:"from 1; it never names other content"`
	Digest    string        `json:"digest" example:"sha256:…"`
	SizeBytes int64         `json:"size_bytes"`
	Comment   string        `json:"comment,omitempty"`
	AddedAt   time.Time     `json:"added_at"`
	Copies    int           `json:"copies" doc:"nodes that have it and answer"`
	Wanted    int           `json:"wanted" doc:"nodes that should, at the least"`
	Holders   []ImageHolder `json:"holders"`
	NeededBy  []string      `json:"needed_by" doc:"which domains need it and what for: while there are any it stays"`
}

// ImageHolder is a node that is to have the content of a version.
type ImageHolder struct {
	Node     string  `json:"node"`
	Has      bool    `json:"has"`
	Progress float64 `json:"progress" doc:"0 to 1"`
	State    string  `json:"state,omitempty" doc:"waiting, pulling, verifying, failed; empty if it has it"`
	Error    string  `json:"error,omitempty" doc:"of the last attempt"`
}

// BeginUpload asks to send a new version of an image.
type BeginUpload struct {
	Digest    string `json:"digest,omitempty" doc:"of the whole, if known: what is there already is not sent again"`
	SizeBytes int64  `json:"size_bytes,omitempty" minimum:"0" doc:"of the whole; 0 is not known"`
}

// Upload is where the content of a new version is sent to, piece by piece.
type Upload struct {
	ID    string `json:"id,omitempty"`
	Node  string `json:"node,omitempty" doc:"the id of the node that gets it"`
	Bytes int64  `json:"bytes" doc:"that are there: the next belong here"`
	// Version is the one that has the content already: nothing is to be sent.
	Version int `json:"version,omitempty" doc:"which has this content already, with nodes that hold it; else absent"`
}

// FinishUpload makes what was sent a version of an image.
type FinishUpload struct {
	Node      string `json:"node"`
	Digest    string `json:"digest" doc:"of all that was sent, as whoever sent it knows it"`
	SizeBytes int64  `json:"size_bytes" minimum:"1"`
	Version   int    `json:"version,omitempty" minimum:"0" doc:"the number that it is to have; 0 is the next"`
	Comment   string `json:"comment,omitempty" maxLength:"200"`
}

// PinDomain asks that a domain boots from another version of an image that it boots from.
type PinDomain struct {
	Image string `json:"image" example:"debian@3" doc:"NAME@VERSION"`
}

// RollbackDomain asks that a domain boots from what it was pinned to before.
type RollbackDomain struct {
	From guest.Pins `json:"from,omitzero" doc:"what it is pinned to now: so that the call can be repeated"`
}
