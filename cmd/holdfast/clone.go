package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

func volumeClone(c *connection) *cobra.Command {
	var rate string
	var as api.NewClone
	var r api.CloneVolumes
	cmd := &cobra.Command{
		Use:   "clone SOURCE NAME | SOURCE:NAME...",
		Short: "Copy volumes, all as they are at one moment",
		Long: "Make a volume that holds what another one holds at one moment: a full copy, a volume of its own from\n" +
			"then on. It is filled on the host where the source is attached, beside the guest, which goes on. At\n" +
			"the end the guest's writes stand still for a moment, 5 seconds at most, while the rest is copied.\n" +
			"Several that are given as SOURCE:NAME are cut at the same moment.\n\n" +
			"What a clone holds is what the disk would hold after a power cut at that moment; with the guest's\n" +
			"file systems written back if the guest was defined with an agent that answers (qemu: {agent: true}).\n\n" +
			"It returns when the clones can be used. Interrupting it stops nothing: the same command watches on,\n" +
			"and holdfast volume delete gives a clone up. Until it is cut a clone cannot be attached, and its\n" +
			"source cannot be deleted. If the source moves to another host, it is filled from the beginning.",
		Example: "  holdfast volume clone web1 web1-before-upgrade\n" +
			"  holdfast volume clone web1 web1-test --layout mirror=1 --rate 50M\n" +
			"  holdfast volume clone db1-data:copy-data db1-log:copy-log",
		Args: args(cobra.MinimumNArgs(1)),
	}
	cmd.Flags().StringVar(&rate, "rate", "", "how much of each source to copy in a second at most, as in 50M")
	addCloneFlags(cmd, &as)
	addNoWait(cmd, &r.NoWait)
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		pairs, err := clonePairs(list)
		if err != nil {
			return err
		}
		if rate != "" {
			if r.RateBytes, err = volume.ParseSize(rate); err != nil {
				return usageError{fmt.Errorf("--rate: %w", err)}
			}
		}
		for _, pair := range pairs {
			one := as
			one.Source, one.Name = pair[0], pair[1]
			r.Clones = append(r.Clones, one)
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		p := newProgress(cmd.ErrOrStderr())
		err = client.CloneVolumes(cmd.Context(), r, p.show)
		p.end()
		if err != nil {
			return err
		}
		var made []api.Volume
		for _, o := range r.Clones {
			v, err := client.Volume(cmd.Context(), o.Name)
			if err != nil {
				return err
			}
			made = append(made, v)
		}
		return out.print(cmd.OutOrStdout(), made, func(t *table) {
			t.row("VOLUME", "OF", "STATE", "CUT AT", "WRITTEN BACK")
			for _, v := range made {
				t.row(v.Name, v.Clone.Source, v.Clone.State, orDash(cutTime(v.Clone)), yesNo(v.Clone.Frozen))
			}
		})
	}
	return cmd
}

// addCloneFlags adds what a clone may have other than its source.
func addCloneFlags(cmd *cobra.Command, as *api.NewClone) {
	f := cmd.Flags()
	f.StringVar(&as.Layout, "layout", "", "mirror=N or parity=K+M (default that of the source)")
	f.StringVar(&as.Durability, "durability", "", "flush or sync (default that of the source)")
	f.StringVar(&as.Spread, "spread", "", "zone, rack or node (default that of the source)")
	f.StringSliceVar(&as.LegsOn, "legs-on", nil, "storage nodes to use, one for each leg")
	f.StringSliceVar(&as.ApartFrom, "apart-from", nil, "volumes with whose legs it shares no node")
}

// clonePairs reads which volumes are to be copied, and how the copies are to be called.
func clonePairs(list []string) ([][2]string, error) {
	if len(list) == 2 && !strings.Contains(list[0], ":") && !strings.Contains(list[1], ":") {
		return [][2]string{{list[0], list[1]}}, nil
	}
	var pairs [][2]string
	for _, word := range list {
		source, name, ok := strings.Cut(word, ":")
		if !ok || source == "" || name == "" {
			return nil, usagef("%q: want SOURCE NAME for one clone, SOURCE:NAME for each of several", word)
		}
		pairs = append(pairs, [2]string{source, name})
	}
	return pairs, nil
}

func cutTime(c *api.Clone) string {
	if c.CutAt == nil {
		return ""
	}
	return c.CutAt.Local().Format(time.DateTime)
}

// showClone adds what a volume is a copy of to its table.
func showClone(t *table, v api.Volume) {
	c := v.Clone
	if c == nil {
		return
	}
	if c.CutAt != nil {
		how := "as after a power cut"
		if c.Frozen {
			how = "with its file systems written back"
		}
		t.row("clone", fmt.Sprintf("of %s as it was at %s, %s", c.Source, cutTime(c), how))
		return
	}
	state := fmt.Sprintf("%.0f%%, %s left", 100*c.Progress, volume.FormatSize(c.RestBytes))
	switch {
	case c.Error != "":
		state = c.Error
	case c.Waits != "":
		state = "waits: " + c.Waits
	}
	t.row("clone", fmt.Sprintf("of %s, being filled: %s", c.Source, state))
}
