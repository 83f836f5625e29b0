package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

func volumeUnfreeze(c *connection) *cobra.Command {
	var r api.Unfreeze
	cmd := &cobra.Command{
		Use:   "unfreeze NAME --reason TEXT",
		Short: "Let a frozen volume be attached again",
		Long: "A volume is frozen when a leg's label proves that the coordinators have lost decisions, or when\n" +
			"labels contradict each other. After this it can be attached: every leg of it has to answer first,\n" +
			"and the newest in-sync list that they know counts. Nothing is given up. The reason is an event.",
		Example: "  holdfast volume unfreeze web1 --reason 'raft disks of n1 and n2 were set back by the SAN'",
		Args:    args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why, for those who look at it later (required)")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		if strings.TrimSpace(r.Reason) == "" {
			return usagef("--reason is missing: it is kept with the decision")
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		v, err := client.UnfreezeVolume(cmd.Context(), list[0], r)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), v, func(t *table) { volumeRows(t, []api.Volume{v}) })
	}
	return cmd
}

func volumePromote(c *connection) *cobra.Command {
	var r api.Promote
	var yes bool
	cmd := &cobra.Command{
		Use:   "promote NAME --leg LEG --reason TEXT",
		Short: "Let a volume go on from one leg alone, whatever the others hold",
		Long: "The last resort, for a volume that waits for a leg which is gone for good. What the others hold\n" +
			"is given up, acknowledged writes among it: they are quarantined, kept on their nodes, and never used\n" +
			"again. Make sure that no host uses them any more: one that nobody can reach goes on with them.\n\n" +
			"Without --yes it only says what would be given up. The volume is attached afterwards as any other.",
		Example: "  holdfast volume promote web1 --leg n1 --reason 'n2 burnt down'\n" +
			"  holdfast volume promote web1 --leg 0b9e6a52 --reason 'n2 burnt down' --yes",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&r.Leg, "leg", "", "the leg: its id, the first digits of it, or its node (required)")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why, for those who look at it later (required)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		if r.Leg == "" || strings.TrimSpace(r.Reason) == "" {
			return usagef("--leg and --reason are required\nUsage: %s", cmd.UseLine())
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		if !yes {
			v, err := client.Volume(cmd.Context(), list[0])
			if err != nil {
				return err
			}
			cost, err := givenUp(v, r.Leg)
			if err != nil {
				return err
			}
			return fmt.Errorf("nothing is done yet.\n%s\nThe same command with --yes does it, unless the coordinators "+
				"know why not", cost)
		}
		v, err := client.PromoteLeg(cmd.Context(), list[0], r)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), v, func(t *table) { volumeRows(t, []api.Volume{v}) })
	}
	return cmd
}

// givenUp says what promoting a leg costs. leg has to name one of the volume's legs.
func givenUp(v api.Volume, leg string) (string, error) {
	var lines []string
	named := 0
	for _, l := range v.Legs {
		what := fmt.Sprintf("leg %s on %s (%s, %s, cfgver %s)", l.ID, l.Node, l.State, l.Condition,
			volume.CfgVer(l.CfgVer))
		if strings.HasPrefix(l.ID, leg) || l.Node == leg {
			named++
			lines = append(lines, "volume "+v.Name+" would go on from "+what)
		} else {
			lines = append(lines, "given up for good would be what is on "+what)
		}
	}
	if named != 1 {
		return "", fmt.Errorf("--leg %s names %d legs of volume %s, not one: holdfast volume show %s names them", leg,
			named, v.Name, v.Name)
	}
	return strings.Join(lines, "\n"), nil
}
