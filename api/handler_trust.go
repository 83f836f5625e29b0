package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// PathJoin admits nodes. It is the only path, under TLS, that answers who shows nothing.
const PathJoin = "/v1/join"

func (r routes) trust() {
	type join struct{ Body Join }
	huma.Register(r.api, r.op("join-cluster", http.MethodPost, PathJoin,
		"Admit the node that shows a join token; the only call that needs nothing else", "trust"),
		func(ctx context.Context, in *join) (*body[Joined], error) {
			return answer(r.service.Join(ctx, in.Body))
		})

	type createJoin struct{ Body CreateJoinToken }
	huma.Register(r.api, r.op("list-join-tokens", http.MethodGet, "/v1/join-tokens", "All join tokens", "trust"),
		func(ctx context.Context, _ *struct{}) (*body[[]JoinToken], error) {
			return list(r.service.JoinTokens(ctx))
		})
	huma.Register(r.api, r.op("create-join-token", http.MethodPost, "/v1/join-tokens",
		"Make a join token, which admits one node", "trust"),
		func(ctx context.Context, in *createJoin) (*body[JoinGrant], error) {
			return answer(r.service.CreateJoinToken(ctx, in.Body))
		})
	huma.Register(r.api, r.op("revoke-join-token", http.MethodDelete, "/v1/join-tokens/{name}",
		"Forget a join token that nobody used", "trust"),
		func(ctx context.Context, in *named) (*nothing, error) {
			return done(r.service.RevokeJoinToken(ctx, in.Name))
		})

	type create struct{ Body CreateToken }
	huma.Register(r.api, r.op("list-tokens", http.MethodGet, "/v1/tokens", "All API tokens", "trust"),
		func(ctx context.Context, _ *struct{}) (*body[[]Token], error) { return list(r.service.Tokens(ctx)) })
	huma.Register(r.api, r.op("create-token", http.MethodPost, "/v1/tokens", "Make an API token", "trust"),
		func(ctx context.Context, in *create) (*body[Token], error) {
			return answer(r.service.CreateToken(ctx, in.Body))
		})
	huma.Register(r.api, r.op("revoke-token", http.MethodDelete, "/v1/tokens/{name}", "End an API token at once",
		"trust"),
		func(ctx context.Context, in *named) (*nothing, error) {
			return done(r.service.RevokeToken(ctx, in.Name))
		})
}
