package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node/devcluster"
)

// devPatience is how long a verb of dev waits for the cluster to be as it should.
const devPatience = 60 * time.Second

func newDev() *cobra.Command {
	d := &dev{}
	cmd := group("dev", "A cluster of real processes on this machine, to try things out")
	cmd.PersistentFlags().StringVar(&d.dir, "dir", "", "the cluster's directory (required)")
	cmd.AddCommand(d.up(), d.down(), d.status(), d.add(), d.cut(), d.impair(), d.heal(), d.network(), d.serveSwitch(),
		d.start(),
		d.verb("stop NODE", "End a node's daemon gracefully; its engines and guests go on",
			"  holdfast dev stop n2 --dir /tmp/hf",
			func(ctx context.Context, c *devcluster.Cluster, name string) error { return c.Stop(ctx, name) }),
		d.verb("kill NODE", "Kill all processes of a node at once, as if its power failed",
			"  holdfast dev kill n2 --dir /tmp/hf",
			func(_ context.Context, c *devcluster.Cluster, name string) error { return c.Kill(name) }),
		d.verb("pause NODE", "Stop all processes of a node where they are (SIGSTOP), as a machine that hangs",
			"  holdfast dev pause h1 --dir /tmp/hf",
			func(_ context.Context, c *devcluster.Cluster, name string) error { return c.Pause(name) }),
		d.verb("resume NODE", "Let a paused node go on where it was (SIGCONT)",
			"  holdfast dev resume h1 --dir /tmp/hf",
			func(_ context.Context, c *devcluster.Cluster, name string) error { return c.Resume(name) }),
		d.verb("wipe NODE", "Empty the stores of a node that is down, as a disk that was exchanged",
			"  holdfast dev wipe n2 --dir /tmp/hf",
			func(_ context.Context, c *devcluster.Cluster, name string) error { return c.Wipe(name) }),
	)
	return cmd
}

// dev holds what all verbs of the group share.
type dev struct{ dir string }

func (d *dev) open() (*devcluster.Cluster, error) {
	if d.dir == "" {
		return nil, usagef("--dir is missing: which local cluster?")
	}
	return devcluster.Open(devcluster.Options{Dir: d.dir})
}

func (d *dev) up() *cobra.Command {
	var nodes int
	var network string
	cmd := &cobra.Command{
		Use:   "up --dir DIR [--nodes N] [--network loopback|netns]",
		Short: "Make a cluster, or start what is missing of it, and wait until it is healthy",
		Long: "Nodes n1 to nN play all roles; the first three vote as coordinators. Again on the same directory\n" +
			"starts whatever does not run. Standard output is one line for the shell.\n\n" +
			"With --network netns each node has a network namespace of its own, so that `dev cut` can part them;\n" +
			"that needs root. The default is loopback.",
		Example: "  eval \"$(holdfast dev up --dir /tmp/hf)\"\n  holdfast dev up --dir /tmp/hf --network netns",
		Args:    args(cobra.NoArgs),
	}
	cmd.Flags().StringVar(&network, "network", "", "what the nodes of a new cluster reach each other by")
	cmd.Flags().IntVar(&nodes, "nodes", 3, "how many nodes a new cluster gets, or an existing one grows to")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if d.dir == "" {
			return usagef("--dir is missing: where should the cluster live?")
		}
		if nodes < 1 {
			return usagef("--nodes %d: a cluster has at least one node", nodes)
		}
		o := devcluster.Options{Dir: d.dir}
		if cmd.Flags().Changed("network") {
			var err error
			if o.Network, err = devcluster.ParseNetwork(network); err != nil {
				return usageError{err}
			}
		}
		c, err := devcluster.Open(o)
		if errors.Is(err, devcluster.ErrNone) || cmd.Flags().Changed("nodes") {
			if err == nil {
				c.Close()
			}
			c, err = devcluster.Create(o, devcluster.DefaultNodes(nodes))
		}
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), devPatience)
		defer cancel()
		if err := c.Up(ctx); err != nil {
			if cmd.Context().Err() != nil {
				err = errors.New("interrupted")
			}
			return fmt.Errorf("%w\nwhat runs of the cluster goes on; the same command again starts the rest, "+
				"`holdfast dev down --dir %s` ends it", err, d.dir)
		}
		for _, name := range c.Left() {
			cmd.PrintErrf("node %s has left the cluster: "+
				"`holdfast dev add %s --fresh --dir %s` makes a new machine of it\n", name, name, d.dir)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "export HOLDFAST_API=%s\n", c.API())
		return err
	}
	return cmd
}

func (d *dev) down() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "down --dir DIR [--remove]",
		Short: "End every process of the cluster",
		Long: "The directory stays, and `dev up` starts the same cluster with its data again, unless --remove.\n" +
			"Of a cluster whose directory is gone it ends what still runs.",
		Example: "  holdfast dev down --dir /tmp/hf --remove",
		Args:    args(cobra.NoArgs),
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "also remove the directory with all data")
	cmd.RunE = func(*cobra.Command, []string) error {
		if _, err := os.Stat(d.dir); d.dir != "" && errors.Is(err, fs.ErrNotExist) {
			return devcluster.Sweep(d.dir)
		}
		c, err := d.open()
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Down(remove)
	}
	return cmd
}

func (d *dev) status() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status --dir DIR", Short: "Show the processes of every node",
		Example: "  holdfast dev status --dir /tmp/hf",
		Args:    args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := d.open()
		if err != nil {
			return err
		}
		defer c.Close()
		nodes, err := c.Status()
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), nodes, func(t *table) {
			t.row("NODE", "STATE", "PID", "PROCESSES", "LOG")
			for _, n := range nodes {
				t.row(n.Name, n.State, n.PID, len(n.Processes), n.Log)
			}
		})
	}
	return cmd
}

func (d *dev) add() *cobra.Command {
	var roles string
	var fresh, noWait bool
	cmd := &cobra.Command{
		Use:   "add NODE --dir DIR [--roles LIST | --fresh] [--no-wait]",
		Short: "Add a node to the cluster and start it",
		Long: "With --fresh the node exists and is down: its machine is replaced by a new one of the same name with\n" +
			"empty disks and a new identity, which waits for `holdfast node replace NODE NODE`.",
		Example: "  holdfast dev add n4 --dir /tmp/hf\n  holdfast dev add n2 --fresh --dir /tmp/hf",
		Args:    args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&roles, "roles", "",
		"comma-separated: coordinator,storage,host (default all; it votes once it replaces a coordinator)")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return once the daemon runs, before the cluster sees it")
	cmd.Flags().BoolVar(&fresh, "fresh", false, "put a new machine in the place of this node, which is down")
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		parsed, err := devcluster.ParseRoles(roles)
		if err != nil {
			return usageError{err}
		}
		c, err := d.open()
		if err != nil {
			return err
		}
		defer c.Close()
		if fresh {
			err = c.Reinstall(list[0])
		} else {
			err = c.Add(devcluster.NodeSpec{Name: list[0], Roles: parsed})
		}
		if err != nil {
			return err
		}
		if noWait {
			return c.Launch(list[0])
		}
		return startNode(cmd.Context(), c, list[0])
	}
	return cmd
}

func (d *dev) start() *cobra.Command {
	var noWait bool
	cmd := d.verb("start NODE", "Start a node's daemon and wait until the cluster sees it",
		"  holdfast dev start n2 --dir /tmp/hf\n  holdfast dev start n1 --no-wait --dir /tmp/hf",
		func(ctx context.Context, c *devcluster.Cluster, name string) error {
			if noWait {
				return c.Launch(name)
			}
			return c.Start(ctx, name)
		})
	cmd.Flags().BoolVar(&noWait, "no-wait", false,
		"return once the daemon runs: the first nodes of a cluster that was off find no quorum yet")
	return cmd
}

// verb builds a command that does one thing to one node.
func (d *dev) verb(use, short, example string,
	do func(context.Context, *devcluster.Cluster, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " --dir DIR", Short: short, Example: example, Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			c, err := d.open()
			if err != nil {
				return err
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(cmd.Context(), devPatience)
			defer cancel()
			return do(ctx, c, list[0])
		},
	}
}

func startNode(ctx context.Context, c *devcluster.Cluster, name string) error {
	ctx, cancel := context.WithTimeout(ctx, devPatience)
	defer cancel()
	return c.Start(ctx, name)
}
