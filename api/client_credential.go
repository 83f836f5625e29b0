package api

import (
	"context"
	"net/http"
)

// IssueCredential gets a credential for the exports of a volume.
func (c *Client) IssueCredential(ctx context.Context, name string, r IssueCredential) (Credential, error) {
	return post[Credential](ctx, c, objectPath("volumes", name, "credentials"), Wait{}, r)
}

// RevokeCredentials takes back every credential of a volume.
func (c *Client) RevokeCredentials(ctx context.Context, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: objectPath("volumes", name, "credentials")})
}
