package api

import (
	"context"
	"net/http"
)

// Rebalance moves legs until stores are even and volumes are spread; progress as in ReplaceNode.
func (c *Client) Rebalance(ctx context.Context, w Wait, progress func(Operation) error) error {
	return c.operate(ctx, call{method: http.MethodPost, path: pathRebalance, query: w.query()}, progress)
}

// StopRebalance begins no more moves; those under way go on.
func (c *Client) StopRebalance(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodDelete, path: pathRebalance})
}
