package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

// severities are those of events and findings, the mildest first.
func severities() []string { return []string{"info", "warning", "error"} }

// eventFilter chooses events.
type eventFilter struct {
	severity string // at least
	object   string // volume/web1, or a bare name of any kind; empty is all
}

func (f eventFilter) takes(e api.Event) bool {
	if slices.Index(severities(), e.Severity) < slices.Index(severities(), f.severity) {
		return false
	}
	_, name, _ := strings.Cut(e.Object, "/")
	return f.object == "" || f.object == e.Object || f.object == name
}

func newEvents(c *connection) *cobra.Command {
	var follow bool
	var after uint64
	var filter eventFilter
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print what happened, oldest first",
		Long: "Print what happened, oldest first; the coordinators keep the last 2000 events. With --follow it\n" +
			"goes on over changes of the leader without losing or repeating one. -o json is one object a line.",
		Example: "  holdfast events --follow\n" +
			"  holdfast events --severity warning --object volume/web1\n" +
			"  holdfast events -o json | jq .message",
		Args: args(cobra.NoArgs),
	}
	cmd.Flags().BoolVar(&follow, "follow", false, "go on with events as they come, until interrupted")
	cmd.Flags().Uint64Var(&after, "after", 0, "only events with a higher number")
	cmd.Flags().StringVar(&filter.severity, "severity", "info", "only events as severe: info, warning or error")
	cmd.Flags().StringVar(&filter.object, "object", "",
		"only events about it: volume/web1, node/n2, or a bare name")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(severities(), filter.severity) {
			return usagef("--severity %q is unknown (info, warning or error)", filter.severity)
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		defer client.Close()
		w := cmd.OutOrStdout()
		err = client.Events(cmd.Context(), after, follow, func(e api.Event) error {
			switch {
			case !filter.takes(e):
				return nil
			case out.json():
				return json.NewEncoder(w).Encode(e)
			}
			_, err := fmt.Fprintf(w, "%s  %-7s  %-24s  %-16s  %s\n",
				e.Time.Local().Format(time.DateTime), e.Severity, e.Object, e.Kind, e.Message)
			return err
		})
		if cmd.Context().Err() != nil {
			return nil
		}
		return err
	}
	return cmd
}
