package api

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-storage/holdfast/api/credential"
	"github.com/holdfast-storage/holdfast/volume"
)

// Join asks to admit a node. The client's TLS settings must make sure that it talks to the cluster of the
// token.
func (c *Client) Join(ctx context.Context, r Join) (Joined, error) {
	return post[Joined](ctx, c, PathJoin, Wait{}, r)
}

// JoinTokens lists the join tokens.
func (c *Client) JoinTokens(ctx context.Context) ([]JoinToken, error) {
	return get[[]JoinToken](ctx, c, "/v1/join-tokens")
}

// CreateJoinToken makes a token that admits one node for so long. The secret in it is made here; the
// cluster learns its hash only, so that the call may be repeated.
func (c *Client) CreateJoinToken(ctx context.Context, role string, ttl time.Duration) (credential.Join, JoinGrant,
	error) {
	secret := credential.NewSecret()
	grant, err := post[JoinGrant](ctx, c, "/v1/join-tokens", Wait{}, CreateJoinToken{
		ID: secret.ID(), Hash: secret.Hash(), Role: role, TTLSeconds: int64(ttl / time.Second)})
	if err != nil {
		return credential.Join{}, JoinGrant{}, err
	}
	j := credential.Join{Name: grant.ClusterName, Secret: secret}
	id, err := volume.ParseUUID(grant.Cluster)
	if err != nil || copy(j.CA[:], grant.CA) != len(j.CA) {
		return credential.Join{}, JoinGrant{},
			Errorf(CodeInternal, "cluster", "", "the answer names no cluster or no CA")
	}
	j.Cluster = volume.ClusterID{UUID: id}
	return j, grant, nil
}

// RevokeJoinToken forgets a join token that nobody used.
func (c *Client) RevokeJoinToken(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: objectPath("join-tokens", id), goneIsDone: true})
}

// Tokens lists the API tokens.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	return get[[]Token](ctx, c, "/v1/tokens")
}

// CreateToken makes an API token; a ttl of zero is for ever. The secret is made here, as for
// CreateJoinToken.
func (c *Client) CreateToken(ctx context.Context, name string, role Role, ttl time.Duration) (credential.Secret,
	Token, error) {
	secret := credential.NewSecret()
	token, err := post[Token](ctx, c, "/v1/tokens", Wait{}, CreateToken{Name: name, ID: secret.ID(),
		Hash: secret.Hash(), Role: role, TTLSeconds: int64(ttl / time.Second)})
	return secret, token, err
}

// RevokeToken ends an API token at once.
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: objectPath("tokens", name), goneIsDone: true})
}
