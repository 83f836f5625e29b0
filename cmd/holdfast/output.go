package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// output prints what a command found, as a table for people or as JSON for programs.
type output struct{ form string }

// addOutputFlag gives a command the flag -o; more are the forms that it has beside the usual ones.
func addOutputFlag(cmd *cobra.Command, more ...string) *output {
	o := &output{}
	forms := append([]string{"table", "json"}, more...)
	words := strings.Join(forms[:len(forms)-1], ", ") + " or " + forms[len(forms)-1]
	cmd.Flags().StringVarP(&o.form, "output", "o", "table", "how to print: "+words)
	previous := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, list []string) error {
		if !slices.Contains(forms, o.form) {
			return usagef("--output %q is unknown (%s)", o.form, words)
		}
		if previous != nil {
			return previous(cmd, list)
		}
		return nil
	}
	return o
}

// json reports whether JSON is wanted.
func (o *output) json() bool { return o.form == "json" }

// print prints value as JSON, or calls table to print it for people.
func (o *output) print(w io.Writer, value any, table func(*table)) error {
	if o.json() {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	t := newTable(w)
	table(t)
	return t.flush()
}

// table aligns columns.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) *table {
	return &table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
}

// row prints one row of cells.
func (t *table) row(cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = strings.ReplaceAll(fmt.Sprint(c), "\n", "; ")
	}
	fmt.Fprintln(t.w, strings.TrimRight(strings.Join(text, "\t"), "\t "))
}

func (t *table) flush() error { return t.w.Flush() }

// age prints how long ago something was, short.
func age(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	d := now.Sub(at)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// orDash prints an empty cell so that columns stay readable.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
