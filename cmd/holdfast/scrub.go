package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

func volumeScrub(c *connection) *cobra.Command {
	var rate string
	var stop bool
	r := api.ScrubVolume{Request: volume.NewUUID().String()}
	cmd := &cobra.Command{
		Use:   "scrub NAME",
		Short: "Read every block of a volume from every leg, compare, and heal",
		Long: "Read every block of an attached volume from the disk of every leg in sync and check it. A block that\n" +
			"one leg lost is rewritten from another. Blocks in which whole legs differ, or that no leg can read,\n" +
			"are counted and left alone. The guest goes on meanwhile and comes first.\n\n" +
			"Interrupting the command does not stop the scrub; the same command joins it, also one that the\n" +
			"schedule began. A scrub that is cut short by a detach goes on with the next attach.\n\n" +
			"Exit code 1: legs differ or blocks are unreadable, or the scrub could not be done.",
		Example: "  holdfast volume scrub web1\n" +
			"  holdfast volume scrub web1 --rate 50M --no-wait\n" +
			"  holdfast volume scrub web1 --stop",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&rate, "rate", "", "how much of the volume to look at in a second, as in 50M (default 64M)")
	cmd.Flags().BoolVar(&stop, "stop", false, "give up the scrub that runs and print what it found")
	addNoWait(cmd, &r.NoWait)
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		if stop && (rate != "" || r.NoWait) {
			return usagef("--stop goes with neither --rate nor --no-wait")
		}
		if rate != "" {
			bytes, err := volume.ParseSize(rate)
			if err != nil {
				return usageError{fmt.Errorf("--rate: %w", err)}
			}
			r.RateBytes = bytes
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		var result *api.ScrubResult
		if stop {
			result, err = client.StopScrub(cmd.Context(), list[0])
		} else {
			p := newProgress(cmd.ErrOrStderr())
			result, err = client.ScrubVolume(cmd.Context(), list[0], r, p.show)
			p.end()
		}
		switch {
		case err != nil:
			return err
		case result == nil && stop:
			return fmt.Errorf("no scrub of volume %s runs", list[0])
		case result == nil:
			return nil // nobody waits for it
		}
		return printScrub(cmd.OutOrStdout(), out, list[0], result)
	}
	return cmd
}

// printScrub prints what a scrub found. What it could not heal is an error for a script.
func printScrub(w io.Writer, out *output, name string, r *api.ScrubResult) error {
	err := out.print(w, r, func(t *table) {
		t.row("VOLUME", "LOOKED AT", "COMPLETE", "BAD", "HEALED", "DIVERGED", "UNREADABLE", "TOOK")
		t.row(name, volume.FormatSize(r.Bytes), yesNo(r.Complete), r.Bad, r.Healed, r.Diverged, r.Unreadable,
			r.FinishedAt.Sub(r.At).Round(time.Second))
		if len(r.Legs) > 0 {
			t.row()
			t.row("LEG", "NODE", "BAD", "HEALED")
		}
		for _, l := range r.Legs {
			t.row(l.ID[:min(8, len(l.ID))], orDash(l.Node), l.Bad, l.Healed)
		}
		if len(r.Ranges) > 0 {
			t.row()
			t.row("DIVERGED AT", "BYTES")
		}
		for _, d := range r.Ranges {
			t.row(d.Offset, d.Length)
		}
	})
	if err == nil && !r.Clean() {
		return fmt.Errorf("volume %s has blocks that a scrub cannot heal: %d diverged, %d unreadable; "+
			"holdfast health says what to do", name, r.Diverged, r.Unreadable)
	}
	return err
}

// showScrubs adds what is known of a volume's scrubs to its table.
func showScrubs(t *table, v api.Volume) {
	t.row("scrubbed", scrubEveryWords(v))
	if s := v.Scrub; s != nil {
		state := "under way"
		if !s.Running {
			state = "waits for an engine"
		}
		t.row("scrub", fmt.Sprintf("%s, %.0f%%, by the %s", state, 100*s.Progress, s.By))
	}
	if r := v.LastScrub; r != nil {
		t.row("last scrub", scrubText(r))
	}
	if r := v.StoppedScrub; r != nil {
		t.row("stopped scrub", fmt.Sprintf("%s, after %s", scrubText(r), volume.FormatSize(r.Bytes)))
	}
}

func scrubText(r *api.ScrubResult) string {
	return fmt.Sprintf("%s: %d bad, %d healed, %d diverged, %d unreadable",
		r.FinishedAt.Local().Format(time.DateTime), r.Bad, r.Healed, r.Diverged, r.Unreadable)
}

// days prints a duration in days when it is made of them.
func days(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// scrubEveryWords says how often a volume is scrubbed by itself.
func scrubEveryWords(v api.Volume) string {
	if v.ScrubEverySeconds == 0 {
		return "never by itself"
	}
	return "every " + days(time.Duration(v.ScrubEverySeconds)*time.Second)
}
