package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// pauses registers what has guests stand still, and go on.
func (r routes) pauses() {
	huma.Register(r.api, r.op("pause-domain", http.MethodPost, "/v1/domains/{name}/pause",
		"Have the guest of a domain stand still where it is, with its memory", "domains"),
		func(ctx context.Context, in *namedWait) (*body[Domain], error) {
			return answer(r.service.PauseDomain(ctx, in.Name, Wait{in.NoWait}))
		})
	huma.Register(r.api, r.op("resume-domain", http.MethodPost, "/v1/domains/{name}/resume",
		"Have the guest of a domain go on that was paused", "domains"),
		func(ctx context.Context, in *namedWait) (*body[Domain], error) {
			return answer(r.service.ResumeDomain(ctx, in.Name, Wait{in.NoWait}))
		})
}
