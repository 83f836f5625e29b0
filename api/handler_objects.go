package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (r routes) volumes() {
	huma.Register(r.api, r.op("list-volumes", http.MethodGet, "/v1/volumes", "All volumes", "volumes"),
		func(ctx context.Context, _ *struct{}) (*body[[]Volume],
			error) {
			return list(r.service.Volumes(ctx))
		})
	huma.Register(r.api, r.op("get-volume", http.MethodGet, "/v1/volumes/{name}", "One volume", "volumes"),
		func(ctx context.Context, in *named) (*body[Volume], error) {
			return answer(r.service.Volume(ctx, in.Name))
		})

	type create struct {
		NoWait bool `query:"no_wait" doc:"answer as soon as it is decided, not when it is done"`
		Body   CreateVolume
	}
	huma.Register(r.api, r.op("create-volume", http.MethodPost, "/v1/volumes", "Make a volume", "volumes"),
		func(ctx context.Context, in *create) (*body[Volume], error) {
			in.Body.Wait = Wait{in.NoWait}
			return answer(r.service.CreateVolume(ctx, in.Body))
		})
	huma.Register(r.api, r.op("delete-volume", http.MethodDelete, "/v1/volumes/{name}",
		"Delete a detached volume and its data", "volumes"),
		func(ctx context.Context, in *namedWait) (*nothing, error) {
			return done(r.service.DeleteVolume(ctx, in.Name, Wait{in.NoWait}))
		})

	type attach struct {
		Name   string `path:"name" doc:"name or id"`
		NoWait bool   `query:"no_wait" doc:"answer as soon as it is decided, not when it is done"`
		Body   AttachVolume
	}
	huma.Register(r.api, r.op("attach-volume", http.MethodPost, "/v1/volumes/{name}/attach",
		"Grant a volume to a host; answers when it serves there", "volumes"),
		func(ctx context.Context, in *attach) (*body[Attached], error) {
			in.Body.Wait = Wait{in.NoWait}
			if in.Body.AcceptLoss { // it gives up acknowledged writes
				if err := needs(ctx, "attach-volume with accept_loss", RoleAdmin); err != nil {
					return nil, err
				}
			}
			return answer(r.service.AttachVolume(ctx, in.Name, in.Body))
		})
	huma.Register(r.api, r.op("detach-volume", http.MethodPost, "/v1/volumes/{name}/detach",
		"End an attachment cleanly", "volumes"),
		func(ctx context.Context, in *namedWait) (*nothing, error) {
			return done(r.service.DetachVolume(ctx, in.Name, Wait{in.NoWait}))
		})
	r.clones()
	r.scrubs()
	r.settings()
	r.credentials()
}

func (r routes) scrubs() {
	type scrub struct {
		Name   string `path:"name" doc:"name or id"`
		NoWait bool   `query:"no_wait" doc:"answer as soon as it is decided, not when it is done"`
		Body   *ScrubVolume
	}
	scrubbing := r.op("scrub-volume", http.MethodPost, "/v1/volumes/{name}/scrub",
		"Scrub an attached volume, or join the scrub that runs; progress, one JSON object a line", "volumes")
	streamed[Operation](r.api, &scrubbing)
	huma.Register(r.api, scrubbing, func(ctx context.Context, in *scrub) (*huma.StreamResponse, error) {
		request := ScrubVolume{}
		if in.Body != nil {
			request = *in.Body
		}
		request.Wait = Wait{in.NoWait}
		return stream(func(emit func(Operation) error) error {
			return r.service.ScrubVolume(ctx, in.Name, request, emit)
		}, failedOperation("scrub", "volume/"+in.Name)), nil
	})
	huma.Register(r.api, r.op("stop-scrub", http.MethodDelete, "/v1/volumes/{name}/scrub",
		"Give up the scrub that runs; answers what it found, null if none runs", "volumes"),
		func(ctx context.Context, in *named) (*body[*ScrubResult], error) {
			return answer(r.service.StopScrub(ctx, in.Name))
		})
}

func (r routes) domains() {
	huma.Register(r.api, r.op("list-domains", http.MethodGet, "/v1/domains", "All domains", "domains"),
		func(ctx context.Context, _ *struct{}) (*body[[]Domain],
			error) {
			return list(r.service.Domains(ctx))
		})
	huma.Register(r.api, r.op("get-domain", http.MethodGet, "/v1/domains/{name}", "One domain", "domains"),
		func(ctx context.Context, in *named) (*body[Domain], error) {
			return answer(r.service.Domain(ctx, in.Name))
		})

	type define struct{ Body DomainSpec }
	huma.Register(r.api, r.op("define-domain", http.MethodPost, "/v1/domains",
		"Add a domain, or change one that is stopped", "domains"),
		func(ctx context.Context, in *define) (*body[Domain], error) {
			return answer(r.service.DefineDomain(ctx, in.Body))
		})
	huma.Register(r.api, r.op("delete-domain", http.MethodDelete, "/v1/domains/{name}",
		"Forget a stopped domain; its volumes stay", "domains"),
		func(ctx context.Context, in *named) (*nothing, error) {
			return done(r.service.DeleteDomain(ctx, in.Name))
		})
	huma.Register(r.api, r.op("start-domain", http.MethodPost, "/v1/domains/{name}/start",
		"Start a domain on the first of its hosts that lives", "domains"),
		func(ctx context.Context, in *namedWait) (*body[Domain], error) {
			return answer(r.service.StartDomain(ctx, in.Name, Wait{in.NoWait}))
		})
	huma.Register(r.api, r.op("stop-domain", http.MethodPost, "/v1/domains/{name}/stop",
		"Stop a domain and detach its volumes", "domains"),
		func(ctx context.Context, in *namedWait) (*body[Domain], error) {
			return answer(r.service.StopDomain(ctx, in.Name, Wait{in.NoWait}))
		})

	type failover struct {
		Name   string `path:"name" doc:"name or id"`
		NoWait bool   `query:"no_wait" doc:"answer as soon as it is decided, not when it is done"`
		Body   *FailoverDomain
	}
	huma.Register(r.api, r.op("failover-domain", http.MethodPost, "/v1/domains/{name}/failover",
		"Move a domain to another host, taking its volumes over", "domains"),
		func(ctx context.Context, in *failover) (*body[Domain], error) {
			request := FailoverDomain{}
			if in.Body != nil {
				request = *in.Body
			}
			request.Wait = Wait{in.NoWait}
			return answer(r.service.FailoverDomain(ctx, in.Name, request))
		})
	r.pauses()
	r.migrations()
	r.consoles()
	r.drills()
}
