package host

import (
	"context"
	"log/slog"

	"github.com/holdfast-storage/holdfast/domain"
)

// EndGuest ends the run of a guest that the directory dir remembers with token, if it is still that one, by whatever
// its driver needs, and returns when nothing of it is left. It needs no daemon: an engine has it done when a grant is
// lost.
func EndGuest(ctx context.Context, driver, dir, token string, log *slog.Logger) error {
	return domain.EndRun(ctx, driver, dir, token, domain.Options{Logger: log})
}
