package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/holdfast-storage/holdfast/volume"
)

// Renew returns another certificate (DER) in place of the one that this client shows, from the leader. It
// asks each coordinator once.
func (c *Client) Renew(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	asked := make(map[volume.NodeID]bool)
	var errs []error
	for p, ok := c.next(asked); ok && ctx.Err() == nil; p, ok = c.next(asked) {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		var answer Renewed
		_, err := c.call(attempt, http.MethodPost, p, PathRenew, nil, &answer)
		cancel()
		if err == nil {
			return answer.Cert, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no coordinator renewed the certificate: %w", errors.Join(append(errs, ctx.Err())...))
}
