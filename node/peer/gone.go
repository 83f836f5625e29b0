package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/holdfast-storage/holdfast/volume"
)

// Gone returns those of the volumes, at most GoneMax, that there are no more, from the leader: it has looked at a state
// that has everything which was committed before the call. It asks each coordinator once.
func (c *Client) Gone(ctx context.Context, volumes []volume.ID) ([]volume.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	asked := make(map[volume.NodeID]bool)
	var errs []error
	for p, ok := c.next(asked); ok && ctx.Err() == nil; p, ok = c.next(asked) {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		var answer Gone
		_, err := c.call(attempt, http.MethodPost, p, PathGone, Gone{Volumes: volumes}, &answer)
		cancel()
		if err == nil {
			return answer.Volumes, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no coordinator says which volumes are gone: %w", errors.Join(append(errs, ctx.Err())...))
}
