package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// plans registers the forecast of what a verb would do.
func (r routes) plans() {
	type input struct{ Body PlanRequest }
	huma.Register(r.api, r.op("plan", http.MethodPost, "/v1/plans", "What a verb would do; nothing is changed",
		"cluster"),
		func(ctx context.Context, in *input) (*body[Plan], error) {
			return answer(r.service.Plan(ctx, in.Body))
		})
}
