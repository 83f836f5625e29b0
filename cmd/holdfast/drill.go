package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

// drillEvery is how often a drill that runs is asked for.
const drillEvery = 200 * time.Millisecond

// drillFlags are what the command drill is given.
type drillFlags struct {
	api.DrillDomain
	real, yes, noWait bool
}

func newDrill(c *connection) *cobra.Command {
	var f drillFlags
	cmd := &cobra.Command{
		Use:   "drill DOMAIN --real",
		Short: "Show that a guest comes up elsewhere with its data, and keep when that was",
		Long: "A fire drill: with --real the guest itself is moved to another host as a failover does it. The host\n" +
			"that it runs on is asked for nothing: the coordinators grant its volumes to the other one, whose\n" +
			"logins fence the old one, and the guest starts there. The old guest is killed: what it had not\n" +
			"flushed may be lost, as when power fails. So choose a time when the guest may be away for some\n" +
			"seconds.\n\n" +
			"It is refused unless nothing is amiss: the guest runs, every leg of its volumes is in sync, another\n" +
			"of its hosts lives and has its images, nothing moves it, every coordinator is heard, failover is not\n" +
			"braked. Without --yes it only says what would happen. Once begun it goes on whatever becomes of this\n" +
			"command: `holdfast drill show` tells the end, and the coordinators keep it.\n\n" +
			"Checked: the guest runs on the other host and its first read was answered, nothing of it is left on\n" +
			"the old one, its volumes are those that they were, none went on from an older state, every leg is in\n" +
			"sync. Not checked: what the guest makes of its disk, and blocks that nothing has read (`holdfast\n" +
			"volume scrub` compares all of them).\n\n" +
			"Exit code 1: the drill failed, or the first read came later than is promised.",
		Example: "  holdfast drill web1 --real --what-if\n" +
			"  holdfast drill web1 --real --back --yes\n" +
			"  holdfast drill web1 --real --to h2 --yes -o json\n" +
			"  holdfast drill list",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().BoolVar(&f.real, "real", false, "move the guest itself")
	cmd.Flags().StringVar(&f.To, "to", "", "the host; default: the next of its hosts that lives")
	cmd.Flags().BoolVar(&f.Back, "back", false, "move the guest back to its host in the end")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do it")
	addNoWait(cmd, &f.noWait)
	out := addOutputFlag(cmd)
	plan := func(list []string) api.PlanRequest {
		return api.PlanRequest{Verb: api.PlanDomainDrill, Name: strings.TrimPrefix(list[0], "domain/"), Host: f.To}
	}
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		if !f.yes {
			return printUnasked(cmd, client, plan(list), out)
		}
		return runDrill(cmd, client, strings.TrimPrefix(list[0], "domain/"), f, out)
	}
	addWhatIf(cmd, c, plan)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, list []string) error { // before anything is asked of the cluster
		if err := f.check(list[0]); err != nil {
			return err
		}
		return run(cmd, list)
	}
	cmd.AddCommand(drillList(c), drillShow(c))
	return cmd
}

// check refuses what no drill can do.
func (f drillFlags) check(object string) error {
	switch {
	case strings.HasPrefix(object, "volume/"):
		return usagef("a drill moves a domain, and %s is none: `holdfast domain list` shows those that use it", object)
	case !f.real:
		return usagef("--real is missing: a drill moves the guest itself, which is restarted; a drill with a copy of " +
			"its volumes is not in this release")
	}
	return nil
}

// runDrill begins a drill and watches it to its end.
func runDrill(cmd *cobra.Command, client *api.Client, name string, f drillFlags, out *output) error {
	d, err := client.DrillDomain(cmd.Context(), name, f.DrillDomain)
	if err == nil && !f.noWait {
		d, err = followDrill(cmd.Context(), client, d, cmd.ErrOrStderr())
	}
	if err != nil {
		return err
	}
	return printDrill(cmd, out, d)
}

// followDrill asks for a drill until it has ended, and writes a line whenever it waits for something else.
func followDrill(ctx context.Context, client *api.Client, d api.Drill, w io.Writer) (api.Drill, error) {
	tick := time.NewTicker(drillEvery)
	defer tick.Stop()
	last := ""
	for d.State == api.OperationRunning {
		if line := drillProgress(d); line != last {
			fmt.Fprintln(w, line)
			last = line
		}
		select {
		case <-ctx.Done():
			return d, ctx.Err()
		case <-tick.C:
		}
		next, err := client.Drill(ctx, d.ID)
		if err != nil {
			return d, err
		}
		d = next
	}
	return d, nil
}

func drillProgress(d api.Drill) string {
	m := d.Moves[len(d.Moves)-1]
	text := "drill " + d.ID + ": " + d.Object + " moves from " + m.From + " to " + m.To
	if m.State != api.OperationRunning {
		text = "drill " + d.ID + ": " + d.Object + " runs on " + m.To + ", and is looked at"
	}
	if d.Waits != "" {
		text += ": waits for " + d.Waits
	}
	return text
}

func drillList(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the drills that run and the latest that ended, oldest first",
		Example: "  holdfast drill list", Args: args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		all, err := client.Drills(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), all, func(t *table) { drillRows(t, all) })
	}
	return cmd
}

func drillShow(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show the report of one drill", Example: "  holdfast drill show 3",
		Args: args(cobra.ExactArgs(1)),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		d, err := client.Drill(cmd.Context(), list[0])
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), d, func(t *table) { drillReport(t, d) })
	}
	return cmd
}
