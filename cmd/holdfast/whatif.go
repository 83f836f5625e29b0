package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// addWhatIf gives a command the flag --what-if: then it prints what it would do, and does nothing. request
// makes the question of the command's arguments; it is called after the flags are read.
func addWhatIf(cmd *cobra.Command, c *connection, request func(list []string) api.PlanRequest) {
	var whatIf bool
	if cmd.Flags().Lookup("output") == nil {
		addOutputFlag(cmd)
	}
	cmd.Flags().BoolVar(&whatIf, "what-if", false,
		"print what would happen: sets, bytes, time and risk; change nothing")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		if !whatIf {
			return run(cmd, list)
		}
		out := output{cmd.Flags().Lookup("output").Value.String()}
		client, err := c.client()
		if err != nil {
			return err
		}
		return printPlan(cmd, client, request(list), &out)
	}
}

// printPlan asks what a command would do and prints it.
func printPlan(cmd *cobra.Command, client *api.Client, r api.PlanRequest, out *output) error {
	plan, err := client.Plan(cmd.Context(), r)
	if err != nil {
		return err
	}
	return out.print(cmd.OutOrStdout(), plan, func(t *table) { planRows(t, plan) })
}

// printUnasked prints what a command would do that is done only with --yes, and returns the error that says so.
func printUnasked(cmd *cobra.Command, client *api.Client, r api.PlanRequest, out *output) error {
	if err := printPlan(cmd, client, r, out); err != nil {
		return err
	}
	return errors.New("nothing is done yet: the same command with --yes does it")
}

func planRows(t *table, p api.Plan) {
	if len(p.Steps) == 0 {
		t.row("Nothing would happen.")
		return
	}
	t.row("STEP", "OBJECT", "FROM", "TO", "BYTES", "IN SYNC", "NOTE")
	for _, s := range p.Steps {
		bytes, inSync := "-", "-"
		if s.Bytes > 0 {
			bytes = volume.FormatSize(s.Bytes)
		}
		if s.Legs > 0 {
			inSync = fmt.Sprintf("%d of %d", s.InSync, s.Legs)
		}
		t.row(s.Action, s.Object, orDash(s.From), orDash(s.To), bytes, inSync, s.Note)
	}
	t.row()
	if p.Bytes > 0 {
		t.row(fmt.Sprintf("%s are copied at most, in about %s when each node copies 100 MiB a second.",
			volume.FormatSize(p.Bytes), duration(p.Seconds)))
	}
	for _, r := range p.Risks {
		t.row("Risk: " + r + ".")
	}
	t.row("Nothing was changed.")
}

// duration prints seconds for people.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Second {
		return "a second"
	}
	return d.Round(time.Second).String()
}
