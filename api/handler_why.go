package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// PathWhy explains objects. As PathHealth it is answered without a leader too.
const PathWhy = "/v1/why"

func (r routes) why() {
	type input struct {
		Object string `query:"object" required:"true" maxLength:"200" doc:"as in volume/web1, leg/<id>, or cluster"`
	}
	why := r.op("why", http.MethodGet, PathWhy,
		"What an object waits for, which clock runs, and the chain of causes down to the root", "cluster")
	huma.Register(r.api, why, func(ctx context.Context, in *input) (*body[Why], error) {
		return answer(r.service.Why(ctx, in.Object))
	})
}
