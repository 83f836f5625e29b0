package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// settings registers what changes a volume that exists.
func (r routes) settings() {
	type set struct {
		Name string `path:"name" doc:"name or id"`
		Body SetVolume
	}
	huma.Register(r.api, r.op("set-volume", http.MethodPatch, "/v1/volumes/{name}",
		"Change settings of a volume; all but its exports also of one that is attached", "volumes"),
		func(ctx context.Context, in *set) (*body[Volume], error) {
			return answer(r.service.SetVolume(ctx, in.Name, in.Body))
		})
	huma.Register(r.api, r.op("list-export-secrets", http.MethodGet, "/v1/volumes/{name}/export-secrets",
		"What guests have to prove to use the exports of a volume", "volumes"),
		func(ctx context.Context, in *named) (*body[[]ExportSecret], error) {
			return list(r.service.ExportSecrets(ctx, in.Name))
		})
}
