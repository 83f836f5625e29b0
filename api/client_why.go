package api

import (
	"context"
	"net/http"
	"net/url"
)

// Why explains an object: what it waits for and why, down to the root. It is answered without a leader too.
func (c *Client) Why(ctx context.Context, object string) (Why, error) {
	var out Why
	err := c.do(ctx, call{method: http.MethodGet, path: PathWhy, query: url.Values{"object": {object}},
		read: decodeTo(&out)})
	return out, err
}
