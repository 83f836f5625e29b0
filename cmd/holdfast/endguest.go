package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node/host"
)

// endGuestTime is how long one try may take. Whoever wants the guest ended tries again.
const endGuestTime = time.Minute

func newEndGuest() *cobra.Command {
	return &cobra.Command{
		Use:   "end-guest DRIVER DIR TOKEN",
		Short: "End one run of a guest; engines run it when a grant is lost",
		Long: "Ends the run of a guest that DIR remembers with TOKEN, if it is still that one, by whatever its\n" +
			"driver needs. It succeeds once nothing of the guest is left. No daemon is needed: that may be dead,\n" +
			"or frozen.",
		Hidden: true,
		Args:   args(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), endGuestTime)
			defer cancel()
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return host.EndGuest(ctx, args[0], args[1], args[2], log)
		},
	}
}
