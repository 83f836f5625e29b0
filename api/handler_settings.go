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
		"Change settings of a volume; also of one that is attached, whose guest goes on", "volumes"),
		func(ctx context.Context, in *set) (*body[Volume], error) {
			return answer(r.service.SetVolume(ctx, in.Name, in.Body))
		})
}
