package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (r routes) drills() {
	huma.Register(r.api, r.op("list-drills", http.MethodGet, "/v1/drills",
		"Fire drills that run, and the latest that ended, oldest first", "domains"),
		func(ctx context.Context, _ *struct{}) (*body[[]Drill], error) { return list(r.service.Drills(ctx)) })
	type identified struct {
		ID string `path:"id" doc:"as the list has it"`
	}
	huma.Register(r.api, r.op("get-drill", http.MethodGet, "/v1/drills/{id}", "One fire drill", "domains"),
		func(ctx context.Context, in *identified) (*body[Drill], error) {
			return answer(r.service.Drill(ctx, in.ID))
		})
	type drill struct {
		Name string `path:"name" doc:"name of the domain"`
		Body *DrillDomain
	}
	huma.Register(r.api, r.op("drill-domain", http.MethodPost, "/v1/domains/{name}/drill",
		"Move a guest to another host in order to see that it works; answers as soon as it is decided", "domains"),
		func(ctx context.Context, in *drill) (*body[Drill], error) {
			request := DrillDomain{}
			if in.Body != nil {
				request = *in.Body
			}
			return answer(r.service.DrillDomain(ctx, in.Name, request))
		})
}
