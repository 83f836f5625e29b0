package main

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

// The exit codes of health.
const (
	exitDegraded = 3
	exitAtRisk   = 4
)

func newHealth(c *connection) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Say what is wrong, why, and what happens next",
		Long: "Exit code 0: healthy. 3: degraded (redundancy is missing or being rebuilt). 4: at risk, something is\n" +
			"down, or the coordinators have no quorum. holdfast why OBJECT follows a finding to its root.",
		Example: "  holdfast health\n  holdfast health --watch\n  holdfast health --watch -o json | jq .status",
		Args:    args(cobra.NoArgs),
	}
	cmd.Flags().BoolVar(&watch, "watch", false,
		"print again whenever something changes, until interrupted; as JSON one object a line")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.clientFor(-1) // an election is a finding, nothing to wait for
		if err != nil {
			return err
		}
		defer client.Close()
		if watch {
			return watchHealth(cmd.Context(), client, cmd.OutOrStdout(), out)
		}
		h := currentHealth(cmd.Context(), client)
		if err := printHealth(cmd.OutOrStdout(), out, h); err != nil {
			return err
		}
		return healthExit(h.Status)
	}
	return cmd
}

// currentHealth asks the cluster once. That no node answers, or none for the cluster, is a finding too.
func currentHealth(ctx context.Context, client *api.Client) api.Health {
	h, err := client.Health(ctx)
	if err == nil {
		return h
	}
	return api.Health{Status: api.NoQuorum, Findings: []api.Finding{{
		Severity: "error", Status: api.NoQuorum, Object: "cluster", Kind: "unreachable",
		Message: "no node of the cluster could answer for it", Cause: err.Error(),
		Next:  "attached volumes go on serving until a leg fails; start the coordinators, or check --api",
		Since: time.Now(),
	}}}
}

func printHealth(w io.Writer, out *output, h api.Health) error {
	return out.print(w, h, func(t *table) {
		t.row("status", h.Status)
		if len(h.Findings) == 0 {
			return
		}
		t.row()
		t.row("SEVERITY", "OBJECT", "SINCE", "WHAT", "NEXT")
		for _, f := range h.Findings {
			what := f.Message
			if f.Cause != "" {
				what += ": " + f.Cause
			}
			t.row(f.Severity, f.Object, age(f.Since, time.Now()), what, f.Next)
		}
	})
}

// healthExit gives the exit code of a status. Every status but healthy is an error for a script.
func healthExit(s api.Status) error {
	switch s {
	case api.Healthy:
		return nil
	case api.Degraded:
		return exitError{exitDegraded}
	}
	return exitError{exitAtRisk}
}

// watchHealth prints the health whenever it differs from what was printed last: on a terminal in place of
// that, elsewhere below it; as JSON one object a line.
func watchHealth(ctx context.Context, client *api.Client, w io.Writer, out *output) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last string
	for {
		h := currentHealth(ctx, client)
		if ctx.Err() != nil {
			return nil
		}
		if key := healthKey(h); key != last {
			last = key
			if err := drawHealth(w, out, h, isTerminal(w), time.Now()); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// clearScreen moves to the upper left corner of a terminal and clears it.
const clearScreen = "\033[H\033[2J"

// drawHealth prints one state of the health that is watched.
func drawHealth(w io.Writer, out *output, h api.Health, terminal bool, now time.Time) error {
	if out.json() {
		return json.NewEncoder(w).Encode(h)
	}
	head := now.Format(time.TimeOnly) + "\n"
	if terminal {
		head = clearScreen + head
	}
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	return printHealth(w, out, h)
}

// healthKey is what counts as a change: not how long something has been so, nor each percent, nor each second of a
// clock that runs.
func healthKey(h api.Health) string {
	h.Findings = slices.Clone(h.Findings)
	for i := range h.Findings {
		f := &h.Findings[i]
		f.Since = time.Time{}
		f.Progress = math.Floor(10*f.Progress) / 10
		f.Message, f.Cause, f.Next = coarse(f.Message), coarse(f.Cause), coarse(f.Next)
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// coarse leaves durations out of a sentence, and of percentages all but the tens.
func coarse(sentence string) string {
	sentence = regexp.MustCompile(`\b(?:\d+(?:\.\d+)?(?:ns|µs|ms|h|m|s))+\b`).ReplaceAllString(sentence, "a while")
	return regexp.MustCompile(`\b(\d*)\d ?%`).ReplaceAllString(sentence, "${1}0 %")
}
