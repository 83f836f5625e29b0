package api

import (
	"context"
	"net/http"

	"github.com/holdfast-storage/holdfast/volume"
)

// CloneVolumes makes copies of volumes and returns when all of them were cut at one moment and are detached; progress
// as in ReplaceNode.
func (c *Client) CloneVolumes(ctx context.Context, r CloneVolumes, progress func(Operation) error) error {
	if r.Request == "" {
		r.Request = volume.NewUUID().String() // a repeated request makes the same clones
	}
	return c.operate(ctx, call{method: http.MethodPost, path: pathClones, query: r.query(), body: r}, progress)
}
