package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (r routes) operations() {
	huma.Register(r.api, r.op("list-operations", http.MethodGet, "/v1/operations",
		"Long work that runs, and the latest failovers that ended", "cluster"),
		func(ctx context.Context, _ *struct{}) (*body[[]Operation], error) {
			return list(r.service.Operations(ctx))
		})
	type identified struct {
		ID string `path:"id" doc:"as the list has it"`
	}
	huma.Register(r.api, r.op("get-operation", http.MethodGet, "/v1/operations/{id}", "One operation", "cluster"),
		func(ctx context.Context, in *identified) (*body[Operation], error) {
			return answer(r.service.Operation(ctx, in.ID))
		})
}
