package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

func newOperation(c *connection) *cobra.Command {
	cmd := group("operation", "Look at long work: failovers, replacements, scrubs")
	cmd.AddCommand(operationList(c), operationShow(c))
	return cmd
}

func operationList(c *connection) *cobra.Command {
	var running, follow bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the work that runs, and the latest failovers with their times",
		Long: "List the work that runs, and the latest failovers that ended, oldest first. TOTAL is the time from\n" +
			"the old host's last heartbeat to the guest's first read; WHAT says which timer runs, too. With\n" +
			"--follow, what ends has a last line that says how.",
		Example: "  holdfast operation list\n  holdfast operation list --follow",
		Args:    args(cobra.NoArgs),
	}
	cmd.Flags().BoolVar(&running, "running", false, "only what runs")
	cmd.Flags().BoolVar(&follow, "follow", false, "go on with what changes, until interrupted")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		if follow {
			return followOperations(cmd.Context(), client, cmd.OutOrStdout(), out, running)
		}
		all, err := operations(cmd.Context(), client, running)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), all, func(t *table) { operationRows(t, all) })
	}
	return cmd
}

// operations lists what there is.
func operations(ctx context.Context, client *api.Client, running bool) ([]api.Operation, error) {
	all, err := client.Operations(ctx)
	wanted := []api.Operation{}
	for _, o := range all {
		if !running || o.State == api.OperationRunning {
			wanted = append(wanted, o)
		}
	}
	return wanted, err
}

func operationRows(t *table, all []api.Operation) {
	t.row("ID", "VERB", "OBJECT", "STATE", "TOTAL", "WHAT")
	for _, o := range all {
		total := fmt.Sprintf("%.0f%%", 100*o.Progress)
		if o.Failover != nil {
			total = seconds(o.Failover.TotalSeconds)
		}
		t.row(o.ID, o.Verb, o.Object, o.State, total, o.Message)
	}
}

func seconds(s float64) string { return fmt.Sprintf("%.3fs", s) }

func operationShow(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one operation, with the times of its stages",
		Example: "  holdfast operation show 12",
		Args:    args(cobra.ExactArgs(1)),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		o, err := client.Operation(cmd.Context(), list[0])
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), o, func(t *table) { operationTable(t, o) })
	}
	return cmd
}

func operationTable(t *table, o api.Operation) {
	t.row("id", o.ID)
	t.row("verb", o.Verb)
	t.row("object", o.Object)
	t.row("state", o.State)
	t.row("message", o.Message)
	f := o.Failover
	if f == nil {
		t.row("progress", fmt.Sprintf("%.0f%%", 100*o.Progress))
		return
	}
	t.row("from", f.From)
	t.row("to", f.To)
	t.row("reason", f.Reason)
	t.row("decided", f.StartedAt.Local().Format(time.DateTime))
	for _, v := range f.Volumes {
		t.row("volume", fmt.Sprintf("%s epoch %d, T_read %s", v.Name, v.Epoch, orDash(v.TRead)))
	}
	t.row("total", seconds(f.TotalSeconds))
	t.row()
	t.row("STAGE", "AFTER THE DECISION")
	for _, s := range f.Stages {
		t.row(s.Name, seconds(s.Seconds))
	}
}

// domainTimers tells of the clocks that run for a domain.
func domainTimers(t *table, d api.Domain) {
	if len(d.Timers) > 0 {
		t.row()
	}
	for _, timer := range d.Timers {
		t.row("in " + timerSays(timer))
	}
}

// domainOperation names the failover that moves a domain, if one does.
func domainOperation(t *table, domains []api.Domain) {
	for _, d := range domains {
		if d.Operation != "" {
			t.row()
			t.row(fmt.Sprintf("operation %s moves %s: `holdfast operation show %s`", d.Operation, d.Name, d.Operation))
		}
	}
}
