package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

const pathRebalance = "/v1/cluster/rebalance"

// rebalancing registers the moving of legs.
func (r routes) rebalancing() {
	type input struct {
		NoWait bool `query:"no_wait" doc:"answer as soon as it is decided, not when it is done"`
	}
	begin := r.op("rebalance", http.MethodPost, pathRebalance,
		"Move legs until stores are even and volumes are spread; progress, one JSON object a line", "cluster")
	streamed[Operation](r.api, &begin)
	huma.Register(r.api, begin, func(ctx context.Context, in *input) (*huma.StreamResponse, error) {
		return stream(func(emit func(Operation) error) error {
			return r.service.Rebalance(ctx, Wait{in.NoWait}, emit)
		}, failedOperation("rebalance", "cluster")), nil
	})
	huma.Register(r.api, r.op("stop-rebalance", http.MethodDelete, pathRebalance,
		"Begin no more moves; those under way go on", "cluster"),
		func(ctx context.Context, _ *struct{}) (*nothing, error) { return done(r.service.StopRebalance(ctx)) })
}
