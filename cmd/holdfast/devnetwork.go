package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/node/devnet"
)

// The verbs of dev for a cluster whose nodes have a network that can fail.

func linkFlags(cmd *cobra.Command, l *devcluster.Links) {
	cmd.Flags().StringVar(&l.From, "from", "", "the other end of the link (default every other node)")
	cmd.Flags().BoolVar(&l.OneWay, "one-way", false, "only what NODE sends; it goes on to receive")
}

func (d *dev) cut() *cobra.Command {
	var l devcluster.Links
	cmd := &cobra.Command{
		Use:   "cut NODE --dir DIR [--from NODE] [--one-way]",
		Short: "Part a node from the others, or from one of them: nothing gets through, and nobody is told",
		Long: "The cluster must have been made with `dev up --network netns`. `dev heal` mends it; `dev network`\n" +
			"shows what is cut.",
		Example: "  holdfast dev cut n2 --dir /tmp/hf\n  holdfast dev cut n2 --from n1 --one-way --dir /tmp/hf",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, list []string) error {
			l.Node = list[0]
			return d.do(func(c *devcluster.Cluster) error { return c.Impair(l, devnet.Rules{Cut: true}) })
		},
	}
	linkFlags(cmd, &l)
	return cmd
}

func (d *dev) impair() *cobra.Command {
	var l devcluster.Links
	var r devnet.Rules
	var loss string
	cmd := &cobra.Command{
		Use:   "impair NODE --dir DIR [--from NODE] [--one-way] [--delay TIME] [--loss PERCENT]",
		Short: "Let links of a node hold every frame for a while, or lose some",
		Long: "In place of what the links did before, a cut too. The cluster must have been made with\n" +
			"`dev up --network netns`.",
		Example: "  holdfast dev impair n2 --delay 20ms --loss 1% --dir /tmp/hf",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, list []string) error {
			l.Node = list[0]
			percent, err := strconv.ParseFloat(strings.TrimSuffix(loss, "%"), 64)
			if err != nil {
				return usagef("--loss %q is no percentage, as 1%%", loss)
			}
			r.Loss = percent / 100
			if err := r.Check(); err != nil {
				return usageError{err}
			}
			return d.do(func(c *devcluster.Cluster) error { return c.Impair(l, r) })
		},
	}
	linkFlags(cmd, &l)
	cmd.Flags().DurationVar(&r.Delay, "delay", 0, "how long every frame is held")
	cmd.Flags().StringVar(&loss, "loss", "0%", "how many frames are lost")
	return cmd
}

func (d *dev) heal() *cobra.Command {
	return &cobra.Command{
		Use:     "heal [NODE] --dir DIR",
		Short:   "Let all links, or those of one node, carry everything again",
		Example: "  holdfast dev heal --dir /tmp/hf",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, list []string) error {
			return d.do(func(c *devcluster.Cluster) error { return c.Heal(strings.Join(list, "")) })
		},
	}
}

func (d *dev) network() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "network --dir DIR",
		Short: "Show the nodes' addresses and namespaces, and which links are cut, slow or lossy",
		Long: "A namespace is a file: `nsenter --net=FILE COMMAND` runs a command on that node's network. A node\n" +
			"that was killed has none. Links that are not shown are open.",
		Example: "  holdfast dev network --dir /tmp/hf",
		Args:    args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return d.do(func(c *devcluster.Cluster) error {
			s, err := c.NetworkStatus()
			if err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), s, func(t *table) {
				t.row("NODE", "ADDRESS", "NAMESPACE")
				for _, p := range s.Ports {
					t.row(p.Node, p.Address, p.Namespace)
				}
				for i, l := range s.Links {
					if i == 0 {
						t.row("", "", "")
						t.row("FROM", "TO", "LINK")
					}
					t.row(l.From, l.To, l.Rules)
				}
			})
		})
	}
	return cmd
}

func (d *dev) serveSwitch() *cobra.Command {
	return &cobra.Command{
		Use:    "switch --dir DIR",
		Short:  "Carry the frames between the nodes' namespaces; `dev up` starts it",
		Hidden: true,
		Args:   args(cobra.NoArgs),
		RunE:   func(cmd *cobra.Command, _ []string) error { return devcluster.RunSwitch(cmd.Context(), d.dir) },
	}
}

// do opens the cluster for one thing.
func (d *dev) do(what func(*devcluster.Cluster) error) error {
	c, err := d.open()
	if err != nil {
		return err
	}
	defer c.Close()
	return what(c)
}
