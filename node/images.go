package node

import (
	"context"
	"net/http"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/image"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
)

// openImages opens what the node has of images.
func (d *Daemon) openImages(context.Context) error {
	var err error
	d.images, err = image.New(image.Options{
		Dir: d.data.file("images"), Node: d.config.ID, Reach: d.streams.To, Logger: d.log,
		Report: func(ctx context.Context, word raft.BlobHeld) error {
			return d.report(ctx, raft.Command{BlobHeld: &word})
		},
		Changed: func() {
			if d.host != nil { // it is opened before the keeper runs
				d.host.ImagesChanged()
			}
		},
	})
	return err
}

// withImages adds to the paths between nodes those of images: what guests boot from is for nodes that belong to the
// cluster, and uploads are for coordinators, which have looked at the role of who uploads.
func (d *Daemon) withImages(peers http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+peer.PathImage, d.forMembers(d.images.Give))
	mux.Handle("POST "+peer.PathImageDoubt, d.forMembers(d.images.Doubt))
	mux.Handle(peer.PathImageUpload, d.forCoordinators(d.images.Upload))
	mux.Handle("/", peers)
	return mux
}

// forMembers refuses nodes that have a certificate and have not registered.
func (d *Daemon) forMembers(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := d.identify(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if refusal := d.untold(api.Caller{Kind: api.CallerNode, Node: id}); refusal != nil {
			http.Error(w, refusal.Message, http.StatusForbidden)
			return
		}
		next(w, r)
	})
}
