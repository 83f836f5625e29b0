package api

import "context"

// TrustService is the part of Service that says who belongs to the cluster and who may call it.
type TrustService interface {
	// Join admits a node that shows a join token. Repeated by the same node it gives the same answer.
	Join(ctx context.Context, r Join) (Joined, error)
	// JoinTokens lists the join tokens, those that are over too.
	JoinTokens(ctx context.Context) ([]JoinToken, error)
	// CreateJoinToken makes a join token.
	CreateJoinToken(ctx context.Context, r CreateJoinToken) (JoinGrant, error)
	// RevokeJoinToken forgets a join token that nobody used.
	RevokeJoinToken(ctx context.Context, id string) error

	// Tokens lists the API tokens.
	Tokens(ctx context.Context) ([]Token, error)
	// CreateToken makes an API token.
	CreateToken(ctx context.Context, r CreateToken) (Token, error)
	// RevokeToken ends an API token at once.
	RevokeToken(ctx context.Context, name string) error
}
