package api

import (
	"context"

	"github.com/holdfast-storage/holdfast/volume"
)

// Drills lists the fire drills that run and the latest that ended, oldest first.
func (c *Client) Drills(ctx context.Context) ([]Drill, error) {
	return get[[]Drill](ctx, c, "/v1/drills")
}

// Drill shows one fire drill by its id.
func (c *Client) Drill(ctx context.Context, id string) (Drill, error) {
	return get[Drill](ctx, c, objectPath("drills", id))
}

// DrillDomain begins a drill that moves a guest itself, and answers as soon as it is decided.
func (c *Client) DrillDomain(ctx context.Context, name string, r DrillDomain) (Drill, error) {
	if r.Request == "" {
		r.Request = volume.NewUUID().String() // a repeated request is the same drill
	}
	return post[Drill](ctx, c, objectPath("domains", name, "drill"), Wait{}, r)
}
