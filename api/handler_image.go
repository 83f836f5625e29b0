package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// UploadChunkBytes is how much of an image is sent at once.
const UploadChunkBytes = requestBytesMax / 2

// images registers what is about what guests boot from.
func (r routes) images() {
	huma.Register(r.api, r.op("list-images", http.MethodGet, "/v1/images", "All images", "images"),
		func(ctx context.Context, _ *struct{}) (*body[[]Image], error) { return list(r.service.Images(ctx)) })
	huma.Register(r.api, r.op("get-image", http.MethodGet, "/v1/images/{name}", "One image and who has it", "images"),
		func(ctx context.Context, in *named) (*body[Image], error) {
			return answer(r.service.Image(ctx, in.Name))
		})
	type remove struct {
		Name    string `path:"name"`
		Version int    `query:"version" minimum:"0" doc:"0 is all of them"`
	}
	huma.Register(r.api, r.op("delete-image", http.MethodDelete, "/v1/images/{name}",
		"Forget a version of an image that no domain needs", "images"),
		func(ctx context.Context, in *remove) (*nothing, error) {
			return done(r.service.DeleteImage(ctx, in.Name, in.Version))
		})
	r.uploads()

	type pin struct {
		Name string `path:"name" doc:"name or id"`
		Body PinDomain
	}
	huma.Register(r.api, r.op("pin-domain", http.MethodPost, "/v1/domains/{name}/pin",
		"Boot a domain from another version of an image, from its next start on", "domains"),
		func(ctx context.Context, in *pin) (*body[Domain], error) {
			return answer(r.service.PinDomain(ctx, in.Name, in.Body))
		})
	type rollback struct {
		Name string `path:"name" doc:"name or id"`
		Body *RollbackDomain
	}
	huma.Register(r.api, r.op("rollback-domain", http.MethodPost, "/v1/domains/{name}/rollback",
		"Boot a domain from the versions that it was pinned to before, from its next start on", "domains"),
		func(ctx context.Context, in *rollback) (*body[Domain], error) {
			request := RollbackDomain{}
			if in.Body != nil {
				request = *in.Body
			}
			return answer(r.service.RollbackDomain(ctx, in.Name, request))
		})
}

func (r routes) uploads() {
	type begin struct {
		Name string `path:"name"`
		Body BeginUpload
	}
	huma.Register(r.api, r.op("begin-upload", http.MethodPost, "/v1/images/{name}/uploads",
		"Begin to send a new version of an image", "images"),
		func(ctx context.Context, in *begin) (*body[Upload], error) {
			return answer(r.service.BeginUpload(ctx, in.Name, in.Body))
		})
	type piece struct {
		Name    string `path:"name"`
		Upload  string `path:"upload"`
		Node    string `query:"node" required:"true" doc:"as begin-upload says it"`
		At      int64  `query:"at" minimum:"0" doc:"where the bytes belong"`
		RawBody []byte `contentType:"application/octet-stream"`
	}
	huma.Register(r.api, r.op("append-upload", http.MethodPut, "/v1/images/{name}/uploads/{upload}",
		"Send a piece of it, of less than 1 MiB", "images"),
		func(ctx context.Context, in *piece) (*body[Upload], error) {
			u := Upload{ID: in.Upload, Node: in.Node, Bytes: in.At}
			return answer(r.service.AppendUpload(ctx, in.Name, u, in.RawBody))
		})
	type finish struct {
		Name   string `path:"name"`
		Upload string `path:"upload"`
		Body   FinishUpload
	}
	huma.Register(r.api, r.op("finish-upload", http.MethodPost, "/v1/images/{name}/uploads/{upload}/finish",
		"Make what was sent a version of the image", "images"),
		func(ctx context.Context, in *finish) (*body[ImageVersion], error) {
			return answer(r.service.FinishUpload(ctx, in.Name, in.Upload, in.Body))
		})
	type abort struct {
		Name   string `path:"name"`
		Upload string `path:"upload"`
		Node   string `query:"node" required:"true" doc:"as begin-upload says it"`
	}
	huma.Register(r.api, r.op("abort-upload", http.MethodDelete, "/v1/images/{name}/uploads/{upload}",
		"Forget what was sent", "images"),
		func(ctx context.Context, in *abort) (*nothing, error) {
			return done(r.service.AbortUpload(ctx, in.Name, Upload{ID: in.Upload, Node: in.Node}))
		})
}
