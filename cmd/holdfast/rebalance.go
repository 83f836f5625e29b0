package main

import (
	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

func clusterRebalance(c *connection) *cobra.Command {
	var r api.Wait
	var stop bool
	cmd := &cobra.Command{
		Use:   "rebalance",
		Short: "Move legs until stores are even and volumes are spread",
		Long: "Move legs from stores that are promised more than a tenth of themselves above others, and of volumes\n" +
			"whose legs share a zone or rack that they need not share. Each leg is copied to its new place and in\n" +
			"sync there before the old one goes: no volume has fewer legs meanwhile. One leg of a volume moves at a\n" +
			"time, and one to or from a node. Refused while anything is amiss; nothing begins to move then either.\n" +
			"Interrupting the command does not stop the work; the same command watches it again.",
		Example: "  holdfast cluster rebalance --what-if\n" +
			"  holdfast cluster rebalance\n" +
			"  holdfast cluster rebalance --stop",
		Args: args(cobra.NoArgs),
	}
	cmd.Flags().BoolVar(&stop, "stop", false, "begin no more moves; those under way go on")
	addNoWait(cmd, &r.NoWait)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		if stop {
			return client.StopRebalance(cmd.Context())
		}
		p := newProgress(cmd.ErrOrStderr())
		defer p.end()
		return client.Rebalance(cmd.Context(), r, p.show)
	}
	addWhatIf(cmd, c, func([]string) api.PlanRequest { return api.PlanRequest{Verb: api.PlanRebalance} })
	return cmd
}
