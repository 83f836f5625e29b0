package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

func nodeSet(c *connection) *cobra.Command {
	var zone, rack string
	cmd := &cobra.Command{
		Use:   "set NAME [--zone ZONE] [--rack RACK]",
		Short: "Say where a node stands",
		Long: "Say in which zone and rack a node stands, so that the legs of volumes are spread over them. It\n" +
			"counts until the node's own configuration names another location. An empty name is not known any more.\n" +
			"Nothing moves: new legs heed it, and `holdfast cluster rebalance` moves those that exist.",
		Example: "  holdfast node set n1 --zone a --rack r1\n" +
			"  holdfast node set n1 --rack ''",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&zone, "zone", "", "building, room or fire compartment")
	cmd.Flags().StringVar(&rack, "rack", "", "rack within the zone")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		var r api.SetNode
		if cmd.Flags().Changed("zone") {
			r.Zone = &zone
		}
		if cmd.Flags().Changed("rack") {
			r.Rack = &rack
		}
		if r.Zone == nil && r.Rack == nil {
			return usagef("where does node %s stand? name --zone, --rack or both", list[0])
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		n, err := client.SetNode(cmd.Context(), list[0], r)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), n, func(t *table) {
			t.row("NAME", "ZONE", "RACK")
			t.row(n.Name, orDash(n.Zone), orDash(n.Rack))
		})
	}
	return cmd
}

func clusterSet(c *connection) *cobra.Command {
	var percent string
	cmd := &cobra.Command{
		Use:   "set --over-provision PERCENT",
		Short: "Change settings of the cluster",
		Long: "Legs are thin: they take space as they are written. --over-provision says how much of what a store\n" +
			"can hold may be promised to legs. At 100 %, the default, every leg can be written in full. Above it\n" +
			"more volumes fit, and a store can run full: watch `holdfast health`, and add space in time.",
		Example: "  holdfast cluster set --over-provision 150%",
		Args:    args(cobra.NoArgs),
	}
	cmd.Flags().StringVar(&percent, "over-provision", "", "of what a store can hold, that may be promised: 100%, 150%")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if percent == "" {
			return usagef("nothing to set: name a setting, as in --over-provision 150%%")
		}
		number, err := strconv.Atoi(strings.TrimSuffix(percent, "%"))
		if err != nil {
			return usageError{fmt.Errorf("--over-provision %q is no percentage, as in 150%%", percent)}
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		s, err := client.SetCluster(cmd.Context(), api.SetCluster{OverProvision: &number})
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), s, func(t *table) {
			t.row("over-provision", fmt.Sprint(s.OverProvision, " %"))
		})
	}
	return cmd
}
