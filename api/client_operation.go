package api

import "context"

// Operations lists the long work that runs, and the latest failovers that ended, oldest first.
func (c *Client) Operations(ctx context.Context) ([]Operation, error) {
	return get[[]Operation](ctx, c, "/v1/operations")
}

// Operation shows one operation by its id.
func (c *Client) Operation(ctx context.Context, id string) (Operation, error) {
	return get[Operation](ctx, c, objectPath("operations", id))
}
