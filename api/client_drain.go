package api

import (
	"context"
	"net/http"
)

// DrainNode moves everything away from a node, which stays a member; progress as in ReplaceNode.
func (c *Client) DrainNode(ctx context.Context, name string, w Wait, progress func(Operation) error) error {
	return c.operate(ctx, call{
		method: http.MethodPost, path: objectPath("nodes", name, "drain"), query: w.query(),
	}, progress)
}

// UndrainNode ends the draining or removal of a node.
func (c *Client) UndrainNode(ctx context.Context, name string) (Node, error) {
	var out Node
	err := c.do(ctx, call{method: http.MethodDelete, path: objectPath("nodes", name, "drain"), read: decodeTo(&out)})
	return out, err
}

// SetReplaceAfter sets how long a leg cannot be reached before another takes its place.
func (c *Client) SetReplaceAfter(ctx context.Context, r SetReplaceAfter) (ReplaceAfter, error) {
	var out ReplaceAfter
	err := c.do(ctx, call{method: http.MethodPut, path: "/v1/replace-after", body: r, read: decodeTo(&out)})
	return out, err
}
