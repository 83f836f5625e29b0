package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

func newWhy(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "why OBJECT",
		Short: "Follow what is wrong with an object down to its root",
		Long: "Say how an object is, what it waits for and why, which clock runs and how much of it is left,\n" +
			"what happens next, and what you can do. OBJECT is volume/NAME, domain/NAME, node/NAME, leg/ID,\n" +
			"operation/N, a bare name or the first digits of a leg's id if only one thing has it, or cluster.",
		Example: "  holdfast why web1\n  holdfast why volume/db1 -o json\n  holdfast why cluster",
		Args:    args(cobra.ExactArgs(1)),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.clientFor(-1) // an election is an answer, nothing to wait for
		if err != nil {
			return err
		}
		defer client.Close()
		why, err := client.Why(cmd.Context(), list[0])
		if err != nil {
			return err
		}
		if out.json() {
			return out.print(cmd.OutOrStdout(), why, nil)
		}
		return printWhy(cmd.OutOrStdout(), why, time.Now())
	}
	return cmd
}

// printWhy draws the chain, each cause below and right of what it explains.
func printWhy(w io.Writer, why api.Why, now time.Time) error {
	var text strings.Builder
	drawWhy(&text, why, "", "", now)
	_, err := io.WriteString(w, text.String())
	return err
}

// timerSays words a clock: how much of it is left, what follows, and what it measures.
func timerSays(t api.WhyTimer) string {
	left := time.Duration(t.LeftSeconds * float64(time.Second))
	return fmt.Sprintf("%s: %s (%s)", left, t.Then, t.What)
}

// drawWhy draws a reason: first before its own line, rest before all lines below.
func drawWhy(out *strings.Builder, r api.Why, first, rest string, now time.Time) {
	fmt.Fprintf(out, "%s%s", first, r.Says)
	if r.Since != nil {
		fmt.Fprintf(out, " (since %s, %s)", r.Since.Local().Format(time.DateTime), age(*r.Since, now))
	}
	if r.Status != api.Healthy {
		fmt.Fprintf(out, " [%s]", r.Status)
	}
	out.WriteString("\n")
	below := rest + "  "
	if len(r.Because) > 0 {
		below = rest + "│ "
	}
	note := func(word, text string) { fmt.Fprintf(out, "%s%-6s%s\n", below, word, text) }
	if r.Progress > 0 && r.Progress < 1 {
		note("done", fmt.Sprintf("%.0f %%", 100*r.Progress))
	}
	for _, t := range r.Timers {
		note("in", timerSays(t))
	}
	if r.Next != "" {
		note("next", r.Next)
	}
	for _, d := range r.Do {
		note("do", d)
	}
	if r.Last != nil {
		note("last", r.Last.Time.Local().Format(time.DateTime)+" "+r.Last.Message)
	}
	for i, b := range r.Because {
		if i < len(r.Because)-1 {
			drawWhy(out, b, rest+"├─ because ", rest+"│  ", now)
		} else {
			drawWhy(out, b, rest+"└─ because ", rest+"   ", now)
		}
	}
}
