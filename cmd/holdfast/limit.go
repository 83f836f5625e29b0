package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

func volumeSet(c *connection) *cobra.Command {
	var limit limitFlags
	var scrubEvery time.Duration
	cmd := &cobra.Command{
		Use:   "set NAME [--limit-iops N] [--limit-bandwidth SIZE] [--limit-burst TIME] | --scrub-every TIME",
		Short: "Limit how fast the guest of a volume may read and write it, or say how often it is scrubbed",
		Long: "Limit how many requests and how many bytes a second the guest of a volume may have, its reads and\n" +
			"writes together. What it does not use is saved up for a burst, as long as --limit-burst says. What is\n" +
			"over the limit waits; nothing fails. An attached volume goes on meanwhile, and its engine knows of it\n" +
			"at once. What is not named stays as it is; 0 is no limit.\n\n" +
			"A request of more than 1 MiB counts as several. Flushes are not limited, and a trim counts as a\n" +
			"request of no bytes. Copies, scrubs and rebuilds are not the guest's and are not limited.\n\n" +
			"--scrub-every says how often the volume is scrubbed by itself while it is attached; 0 is never. A\n" +
			"scrub that runs goes on.",
		Example: "  holdfast volume set web1 --limit-iops 500 --limit-bandwidth 50M\n" +
			"  holdfast volume set web1 --limit-burst 10s\n" +
			"  holdfast volume set web1 --limit-iops 0 --limit-bandwidth 0\n" +
			"  holdfast volume set web1 --scrub-every 168h",
		Args: args(cobra.ExactArgs(1)),
	}
	limit.add(cmd)
	cmd.Flags().DurationVar(&scrubEvery, "scrub-every", 0,
		"how often the volume is scrubbed by itself while it is attached; 0 is never")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		r, err := limit.request(cmd)
		if err != nil {
			return err
		}
		set := api.SetVolume{Limit: r}
		if cmd.Flags().Changed("scrub-every") {
			seconds := int64(scrubEvery / time.Second)
			set.ScrubEverySeconds = &seconds
		}
		if set == (api.SetVolume{}) {
			return usagef("nothing to set: name a limit, as in --limit-iops 500, or --scrub-every")
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		v, err := client.SetVolume(cmd.Context(), list[0], set)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), v, func(t *table) {
			t.row("limit", limitWords(v.Limit))
			t.row("scrubbed", scrubEveryWords(v))
		})
	}
	return cmd
}

// limitFlags are the flags that say how fast the guest of a volume may be.
type limitFlags struct {
	iops      int64
	bandwidth string
	burst     time.Duration
}

func (l *limitFlags) add(cmd *cobra.Command) {
	cmd.Flags().Int64Var(&l.iops, "limit-iops", 0, "requests a second that the guest may have; 0 is no limit")
	cmd.Flags().StringVar(&l.bandwidth, "limit-bandwidth", "0",
		"bytes a second that the guest may read and write, as in 50M; 0 is no limit")
	cmd.Flags().DurationVar(&l.burst, "limit-burst", volume.LimitBurst,
		"for how long either may be saved up while the guest uses less")
}

// request returns what the flags ask for, nil if none was given.
func (l *limitFlags) request(cmd *cobra.Command) (*api.SetLimit, error) {
	var r api.SetLimit
	if cmd.Flags().Changed("limit-iops") {
		r.IOPS = &l.iops
	}
	if cmd.Flags().Changed("limit-bandwidth") {
		bytes, err := volume.ParseSize(strings.TrimSuffix(l.bandwidth, "/s"))
		if err != nil {
			return nil, usageError{fmt.Errorf("--limit-bandwidth: %w", err)}
		}
		r.BandwidthBytes = &bytes
	}
	if cmd.Flags().Changed("limit-burst") {
		seconds := l.burst.Seconds()
		r.BurstSeconds = &seconds
	}
	if r == (api.SetLimit{}) {
		return nil, nil
	}
	return &r, nil
}

func limitWords(l api.Limit) string {
	return volume.Limit{IOPS: l.IOPS, Bandwidth: l.BandwidthBytes,
		Burst: time.Duration(l.BurstSeconds * float64(time.Second))}.String()
}
