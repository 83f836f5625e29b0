package api

import (
	"context"
	"net/http"
)

// SetVolume changes settings of a volume and returns it.
func (c *Client) SetVolume(ctx context.Context, name string, r SetVolume) (Volume, error) {
	var out Volume
	err := c.do(ctx, call{method: http.MethodPatch, path: objectPath("volumes", name), body: r, read: decodeTo(&out)})
	return out, err
}
