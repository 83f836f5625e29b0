package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

// printDrill prints the report of a drill. One that did not show what it was to show is an error for a script.
func printDrill(cmd *cobra.Command, out *output, d api.Drill) error {
	err := out.print(cmd.OutOrStdout(), d, func(t *table) { drillReport(t, d) })
	if err == nil && (d.State == api.DrillFailed || d.State == api.DrillSlow) {
		return fmt.Errorf("drill %s of %s is %s: %s", d.ID, d.Object, d.State, d.Message)
	}
	return err
}

func drillReport(t *table, d api.Drill) {
	t.row("drill", d.ID)
	t.row("object", d.Object)
	t.row("volumes", strings.Join(d.Volumes, ", "))
	t.row("began", d.StartedAt.Local().Format(time.DateTime))
	t.row("result", d.State)
	if d.Message != "" {
		t.row("because", d.Message)
	}
	if d.Waits != "" {
		t.row("waits for", d.Waits)
	}
	for _, m := range d.Moves {
		t.row()
		t.row("moved", fmt.Sprintf("from %s to %s, operation %s, %s", m.From, m.To, m.Operation, m.State))
		if m.FirstReadSeconds > 0 {
			t.row("decision to first read", promised(m.FirstReadSeconds, m.BoundSeconds))
			t.row("with the time to find a host dead", promised(m.TotalSeconds, m.TotalBoundSeconds))
		}
		if m.Waited {
			t.row("T_read", "waited: a leg was not fenced")
		}
		for _, s := range m.Stages {
			t.row("  "+s.Name, seconds(s.Seconds))
		}
	}
	t.row()
	for _, c := range d.Checks {
		verdict := "ok"
		if !c.OK {
			verdict = "FAILED"
		}
		t.row(c.Name, verdict+": "+c.Detail)
	}
	for _, n := range d.NotChecked {
		t.row("not checked", n)
	}
}

// promised prints a time beside what is promised for it.
func promised(took, bound float64) string {
	verdict := "in time"
	if took > bound {
		verdict = "TOO LATE"
	}
	return fmt.Sprintf("%s of %gs: %s", seconds(took), bound, verdict)
}

func drillRows(t *table, all []api.Drill) {
	t.row("ID", "OBJECT", "KIND", "BEGAN", "RESULT", "FROM", "TO", "FIRST READ", "WHY")
	for _, d := range all {
		first := d.Moves[0]
		read := "-"
		if first.FirstReadSeconds > 0 {
			read = seconds(first.FirstReadSeconds)
		}
		t.row(d.ID, d.Object, d.Kind, d.StartedAt.Local().Format(time.DateTime), d.State, first.From, first.To, read,
			d.Message)
	}
}

// lastDrill adds the latest drill of an object to its table.
func lastDrill(t *table, d *api.LastDrill) {
	if d == nil {
		return
	}
	text := fmt.Sprintf("%s: %s, from %s to %s", d.StartedAt.Local().Format(time.DateTime), d.State, d.From, d.To)
	if d.FirstReadSeconds > 0 {
		text += ", first read after " + seconds(d.FirstReadSeconds)
	}
	switch {
	case d.WorkedAt == nil:
		text += ", none has worked"
	case !d.WorkedAt.Equal(d.StartedAt):
		text += ", the last that worked at " + d.WorkedAt.Local().Format(time.DateTime)
	}
	t.row("last drill", text+" (holdfast drill show "+d.ID+")")
}
