package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCluster(c *connection) *cobra.Command {
	cmd := group("cluster", "Make or join a cluster, look at it as a whole")
	status := &cobra.Command{
		Use: "status", Short: "Show the cluster, who leads it and what is in it", Example: "  holdfast cluster status",
		Args: args(cobra.NoArgs),
	}
	out := addOutputFlag(status)
	status.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		s, err := client.Cluster(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), s, func(t *table) {
			t.row("name", s.Name)
			t.row("id", s.ID)
			t.row("incarnation", s.Incarnation)
			t.row("generation", s.Generation)
			t.row("leader", orDash(s.Leader))
			t.row("coordinators", s.Coordinators)
			t.row("nodes", s.Nodes)
			t.row("volumes", s.Volumes)
			t.row("domains", s.Domains)
			t.row("over-provision", fmt.Sprint(s.OverProvision, " %"))
			t.row("revision", s.Revision)
			t.row("version", describeVersion(s))
		})
	}
	cmd.AddCommand(clusterInit(), clusterJoin(), clusterToken(c), clusterBackup(c), clusterRestore(c), clusterRejoin())
	cmd.AddCommand(status, clusterSet(c), clusterRebalance(c), clusterReplaceAfter(c), clusterUpgrade(c))
	return cmd
}
