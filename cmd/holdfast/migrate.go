package main

import (
	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

func domainMigrate(c *connection) *cobra.Command {
	var r api.MigrateDomain
	var abort bool
	cmd := domainVerb("migrate NAME", "Move a domain's guest to another host while it runs",
		"Copy the guest's memory to another host while it runs, halt it, hand its volumes over (detached\n"+
			"cleanly, then granted to the other host) and have it go on there. It stands still for the last part\n"+
			"of that. Until it has moved, whatever goes wrong leaves it where it is, and so does --abort.\n"+
			"For guests of the driver qemu.",
		"  holdfast domain migrate web1 --to h2 --what-if\n  holdfast domain migrate web1 --to h2\n"+
			"  holdfast domain migrate web1 --abort",
		func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&r.To, "to", "", "the host; default: the next of its hosts that lives")
			cmd.Flags().BoolVar(&abort, "abort", false, "have a guest that is being migrated stay where it is")
			addNoWait(cmd, &r.NoWait)
		},
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			if abort && (r.To != "" || r.NoWait) {
				return api.Domain{}, usagef("--abort goes with no other option")
			}
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			if abort {
				return client.AbortMigration(cmd.Context(), name)
			}
			return client.MigrateDomain(cmd.Context(), name, r)
		})
	addWhatIf(cmd, c, func(list []string) api.PlanRequest {
		return api.PlanRequest{Verb: api.PlanDomainMigrate, Name: list[0], Host: r.To}
	})
	cmd.MarkFlagsMutuallyExclusive("abort", "what-if")
	return cmd
}
