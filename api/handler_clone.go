package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

const pathClones = "/v1/clones"

// clones registers the making of copies of volumes.
func (r routes) clones() {
	type input struct {
		NoWait bool `query:"no_wait" doc:"answer as soon as it is decided, not when it is done"`
		Body   CloneVolumes
	}
	begin := r.op("clone-volumes", http.MethodPost, pathClones,
		"Make copies of volumes, all cut at one moment; progress, one JSON object a line", "volumes")
	streamed[Operation](r.api, &begin)
	huma.Register(r.api, begin, func(ctx context.Context, in *input) (*huma.StreamResponse, error) {
		in.Body.Wait = Wait{in.NoWait}
		return stream(func(emit func(Operation) error) error {
			return r.service.CloneVolumes(ctx, in.Body, emit)
		}, failedOperation("clone", "volume/"+in.Body.Clones[0].Name)), nil
	})
}
