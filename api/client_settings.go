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

// ExportSecrets tells what guests have to prove to use the exports of a volume.
func (c *Client) ExportSecrets(ctx context.Context, name string) ([]ExportSecret, error) {
	var out []ExportSecret
	err := c.do(ctx, call{method: http.MethodGet, path: objectPath("volumes", name) + "/export-secrets",
		read: decodeTo(&out)})
	return out, err
}
