package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// credentials registers who may use the exports of a volume from another machine.
func (r routes) credentials() {
	type issue struct {
		Name string `path:"name" doc:"name or id"`
		Body IssueCredential
	}
	huma.Register(r.api, r.op("issue-credential", http.MethodPost, "/v1/volumes/{name}/credentials",
		"Sign a credential for the exports of a volume", "volumes"),
		func(ctx context.Context, in *issue) (*body[Credential], error) {
			return answer(r.service.IssueCredential(ctx, in.Name, in.Body))
		})
	huma.Register(r.api, r.op("revoke-credentials", http.MethodDelete, "/v1/volumes/{name}/credentials",
		"Take back every credential of a volume; whoever is connected by one is cut off", "volumes"),
		func(ctx context.Context, in *named) (*nothing, error) {
			return done(r.service.RevokeCredentials(ctx, in.Name))
		})
}
