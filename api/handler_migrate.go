package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// migrations registers what moves guests while they run.
func (r routes) migrations() {
	type migrate struct {
		Name   string `path:"name" doc:"name or id"`
		NoWait bool   `query:"no_wait" doc:"answer as soon as it is decided, not when it is done"`
		Body   *MigrateDomain
	}
	huma.Register(r.api, r.op("migrate-domain", http.MethodPost, "/v1/domains/{name}/migrate",
		"Move a domain's guest to another host while it runs", "domains"),
		func(ctx context.Context, in *migrate) (*body[Domain], error) {
			request := MigrateDomain{}
			if in.Body != nil {
				request = *in.Body
			}
			request.Wait = Wait{in.NoWait}
			return answer(r.service.MigrateDomain(ctx, in.Name, request))
		})
	huma.Register(r.api, r.op("abort-migration", http.MethodPost, "/v1/domains/{name}/abort-migration",
		"Have the guest of a domain that is migrated stay where it is", "domains"),
		func(ctx context.Context, in *named) (*body[Domain], error) {
			return answer(r.service.AbortMigration(ctx, in.Name))
		})
}
