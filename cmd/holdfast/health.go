package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
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
			"down, or the coordinators have no quorum.",
		Example: "  holdfast health\n  holdfast health --watch",
		Args:    args(cobra.NoArgs),
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "print again whenever something changes, until interrupted")
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

// watchHealth prints the health whenever it differs from what was printed last.
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
			if !out.json() {
				fmt.Fprintln(w, time.Now().Format(time.TimeOnly))
			}
			if err := printHealth(w, out, h); err != nil {
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

// healthKey is what counts as a change: not how long something has been so, nor each percent.
func healthKey(h api.Health) string {
	h.Findings = slices.Clone(h.Findings)
	for i := range h.Findings {
		h.Findings[i].Since = time.Time{}
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func newEvents(c *connection) *cobra.Command {
	var follow bool
	var after uint64
	cmd := &cobra.Command{
		Use:     "events",
		Short:   "Print what happened, oldest first",
		Example: "  holdfast events --follow\n  holdfast events -o json | jq .message",
		Args:    args(cobra.NoArgs),
	}
	cmd.Flags().BoolVar(&follow, "follow", false, "go on with events as they come, until interrupted")
	cmd.Flags().Uint64Var(&after, "after", 0, "only events with a higher number")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		err = client.Events(cmd.Context(), after, follow, func(e api.Event) error {
			if out.json() {
				return json.NewEncoder(w).Encode(e)
			}
			_, err := fmt.Fprintf(w, "%s  %-7s  %-24s  %s\n",
				e.Time.Local().Format(time.DateTime), e.Severity, e.Object, e.Message)
			return err
		})
		if cmd.Context().Err() != nil {
			return nil
		}
		return err
	}
	return cmd
}
