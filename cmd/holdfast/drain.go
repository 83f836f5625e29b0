package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

func nodeDrain(c *connection) *cobra.Command {
	var r api.Wait
	var stop bool
	cmd := &cobra.Command{
		Use:   "drain NAME",
		Short: "Move everything away from a node that stays a member",
		Long: "Every leg of the node gets a new one on another node and stays until that is in sync; its\n" +
			"guests of the driver qemu are migrated to other hosts, its other domains end and are started there,\n" +
			"its vote moves to another coordinator if there is one; --what-if says which guest leaves how. The\n" +
			"node gets nothing new until holdfast node undrain. Refused when a volume would be left with fewer\n" +
			"legs. Interrupting the command does not stop the work; the same command watches it again.",
		Example: "  holdfast node drain n4 --what-if\n" +
			"  holdfast node drain n4\n" +
			"  holdfast node drain n4 --stop       # the same as holdfast node undrain n4",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().BoolVar(&stop, "stop", false, "end the draining: what has left does not come back by itself")
	addNoWait(cmd, &r.NoWait)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		if stop {
			return undrain(cmd, client, list[0])
		}
		p := newProgress(cmd.ErrOrStderr())
		defer p.end()
		return client.DrainNode(cmd.Context(), list[0], r, p.show)
	}
	addWhatIf(cmd, c, func(list []string) api.PlanRequest {
		return api.PlanRequest{Verb: api.PlanNodeDrain, Name: list[0]}
	})
	return cmd
}

func nodeUndrain(c *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "undrain NAME",
		Short: "Use a drained node again, or end its draining or removal",
		Long: "The node gets legs, guests and a vote again. Its legs whose replacements are not in sync yet\n" +
			"stay; what has left does not come back by itself.",
		Example: "  holdfast node undrain n4",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			return undrain(cmd, client, list[0])
		},
	}
}

func undrain(cmd *cobra.Command, client *api.Client, name string) error {
	n, err := client.UndrainNode(cmd.Context(), name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "node %s is %s\n", n.Name, n.State)
	return err
}

func clusterReplaceAfter(c *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "replace-after TIME|never|default",
		Short: "Set how long a leg cannot be reached before another takes its place",
		Long: "A leg on a node that is silent, or on a disk that cannot be read, is replaced by one elsewhere\n" +
			"after this time, unless it comes back. The default is 10 minutes; a volume may have its own, see\n" +
			"holdfast volume replace-after. A leg whose data is proven gone is replaced after seconds in any case.",
		Example: "  holdfast cluster replace-after 30m\n  holdfast cluster replace-after never",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			return setReplaceAfter(c, cmd, "", list[0])
		},
	}
}

func volumeReplaceAfter(c *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "replace-after NAME TIME|never|default",
		Short: "Set how long a leg of a volume cannot be reached before another takes its place",
		Long: "As holdfast cluster replace-after, for one volume. default is the cluster's time; holdfast\n" +
			"volume show tells what holds.",
		Example: "  holdfast volume replace-after web1 2m\n  holdfast volume replace-after scratch never",
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, list []string) error {
			return setReplaceAfter(c, cmd, list[0], list[1])
		},
	}
}

func setReplaceAfter(c *connection, cmd *cobra.Command, volume, word string) error {
	r := api.SetReplaceAfter{Volume: volume, Never: word == "never"}
	if word != "never" && word != "default" {
		d, err := time.ParseDuration(word)
		if err != nil || d <= 0 {
			return usagef("%q is no time: give one as in 10m or 2h, or never, or default", word)
		}
		r.Seconds = d.Seconds()
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	now, err := client.SetReplaceAfter(cmd.Context(), r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "legs that cannot be reached are replaced %s\n", replaceAfterWords(now))
	return err
}

func replaceAfterWords(r api.ReplaceAfter) string {
	if r.Never {
		return fmt.Sprintf("never (%s)", r.From)
	}
	return fmt.Sprintf("after %s (%s)", time.Duration(r.Seconds*float64(time.Second)), r.From)
}
