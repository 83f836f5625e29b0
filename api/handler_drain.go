package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// drains registers what empties a node and what decides when a leg is replaced by itself.
func (r routes) drains() {
	draining := r.op("drain-node", http.MethodPost, "/v1/nodes/{name}/drain",
		"Move everything away from a node that stays a member; progress, one JSON object a line", "nodes")
	streamed[Operation](r.api, &draining)
	huma.Register(r.api, draining, func(ctx context.Context, in *namedWait) (*huma.StreamResponse, error) {
		return stream(func(emit func(Operation) error) error {
			return r.service.DrainNode(ctx, in.Name, Wait{in.NoWait}, emit)
		}, failedOperation("drain", "node/"+in.Name)), nil
	})
	huma.Register(r.api, r.op("undrain-node", http.MethodDelete, "/v1/nodes/{name}/drain",
		"End the draining or removal of a node", "nodes"),
		func(ctx context.Context, in *named) (*body[Node], error) {
			return answer(r.service.UndrainNode(ctx, in.Name))
		})
	type set struct{ Body SetReplaceAfter }
	huma.Register(r.api, r.op("set-replace-after", http.MethodPut, "/v1/replace-after",
		"How long a leg cannot be reached before another takes its place", "cluster"),
		func(ctx context.Context, in *set) (*body[ReplaceAfter], error) {
			return answer(r.service.SetReplaceAfter(ctx, in.Body))
		})
}
