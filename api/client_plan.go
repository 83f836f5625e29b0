package api

import "context"

// Plan says what a verb would do if it were asked for now. It changes nothing.
func (c *Client) Plan(ctx context.Context, r PlanRequest) (Plan, error) {
	return post[Plan](ctx, c, "/v1/plans", Wait{}, r)
}
