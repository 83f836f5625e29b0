package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

func newVolume(c *connection) *cobra.Command {
	cmd := group("volume", "Provision, attach and look at volumes")
	cmd.AddCommand(volumeCreate(c), volumeList(c), volumeShow(c), volumeAttach(c), volumeDetach(c), volumeSet(c),
		volumeExport(c), volumeCredential(c), volumeScrub(c), volumeClone(c), volumeReplaceAfter(c), volumeUnfreeze(c),
		volumePromote(c), volumeDelete(c))
	return cmd
}

func volumeCreate(c *connection) *cobra.Command {
	var size string
	var scrubEvery time.Duration
	var limit limitFlags
	r := api.CreateVolume{ID: volume.NewID().String()}
	cmd := &cobra.Command{
		Use:   "create NAME --size SIZE --layout LAYOUT",
		Short: "Make a volume",
		Long: "Make a volume: its legs are placed on different storage nodes, spread over zones and racks as far as\n" +
			"these are known, and made there. Returns when all of them are, unless --no-wait. A new volume reads as\n" +
			"zeroes.",
		Example: "  holdfast volume create web1 --size 10G --layout mirror=2\n" +
			"  holdfast volume create db1 --size 100G --layout mirror=3 --durability sync --legs-on n1,n2,n4\n" +
			"  holdfast volume create archive --size 2T --layout parity=4+2\n" +
			"  holdfast volume create db2 --size 100G --layout mirror=2 --spread zone --apart-from db1\n" +
			"  holdfast volume create log1 --size 20G --scrub-every 168h\n" +
			"  holdfast volume create tmp1 --size 20G --limit-iops 500 --limit-bandwidth 50M",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&size, "size", "", "size, a multiple of 4K: 512M, 10G (required)")
	cmd.Flags().StringVar(&r.Layout, "layout", "mirror=2",
		"redundancy: mirror=2, mirror=3, parity=4+2, parity=4+2,chunk=64K …")
	cmd.Flags().StringVar(&r.Durability, "durability", "flush",
		"flush: like a disk with a write cache; sync: durable when acknowledged")
	cmd.Flags().StringVar(&r.UnflushedLoss, "unflushed-loss", "wait",
		"when only legs that lost their cache are left: wait for the others, or accept")
	cmd.Flags().StringSliceVar(&r.LegsOn, "legs-on", nil, "storage nodes to use, one for each leg")
	cmd.Flags().StringVar(&r.Spread, "spread", "",
		"zone, rack or node: refuse if two legs would share one (default: as wide as can be had)")
	cmd.Flags().StringSliceVar(&r.ApartFrom, "apart-from", nil, "volumes with whose legs its own share no node")
	cmd.Flags().DurationVar(&scrubEvery, "scrub-every", 30*24*time.Hour,
		"how often the volume is scrubbed by itself while it is attached; 0 is never")
	limit.add(cmd)
	addNoWait(cmd, &r.NoWait)
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		if size == "" {
			return usagef("--size is missing: how large is volume %s to be, as in --size 10G?", list[0])
		}
		bytes, err := volume.ParseSize(size)
		if err != nil {
			return usageError{fmt.Errorf("--size: %w", err)}
		}
		if err := volume.CheckName("volume", list[0]); err != nil {
			return err
		}
		r.Name, r.SizeBytes = list[0], bytes
		if r.Limit, err = limit.request(cmd); err != nil {
			return err
		}
		if cmd.Flags().Changed("scrub-every") {
			seconds := int64(scrubEvery / time.Second)
			r.ScrubEverySeconds = &seconds
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		v, err := client.CreateVolume(cmd.Context(), r)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), v, func(t *table) { volumeRows(t, []api.Volume{v}) })
	}
	return cmd
}

func volumeList(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the volumes", Example: "  holdfast volume list -o json", Args: args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		volumes, err := client.Volumes(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), volumes, func(t *table) { volumeRows(t, volumes) })
	}
	return cmd
}

func volumeRows(t *table, volumes []api.Volume) {
	t.row("NAME", "SIZE", "LAYOUT", "STATE", "HEALTH", "HOST", "EPOCH", "LEGS")
	for _, v := range volumes {
		host := "-"
		if v.Attachment != nil {
			host = v.Attachment.Host
		}
		legs := make([]string, len(v.Legs))
		for i, l := range v.Legs {
			legs[i] = l.Node
			if l.State != volume.LegInSync {
				legs[i] += "(" + string(l.State) + ")"
			}
		}
		t.row(v.Name, volume.FormatSize(v.SizeBytes), v.Layout, v.State, v.Health, host,
			volume.Epoch(v.Epoch), strings.Join(legs, ","))
	}
}

func volumeShow(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show one volume and its legs", Example: "  holdfast volume show web1",
		Args: args(cobra.ExactArgs(1)),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		v, err := client.Volume(cmd.Context(), list[0])
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), v, func(t *table) { showVolume(t, v) })
	}
	return cmd
}

func showVolume(t *table, v api.Volume) {
	t.row("name", v.Name)
	t.row("id", v.ID)
	t.row("size", fmt.Sprintf("%s (%d bytes)", volume.FormatSize(v.SizeBytes), v.SizeBytes))
	t.row("layout", v.Layout)
	t.row("durability", v.Durability)
	if v.Spread != "" {
		t.row("spread", "no two legs in one "+v.Spread)
	}
	if len(v.Apart) > 0 {
		t.row("apart from", strings.Join(v.Apart, ", "))
	}
	t.row("state", v.State)
	t.row("health", v.Health)
	t.row("epoch", volume.Epoch(v.Epoch))
	t.row("cfgver", volume.CfgVer(v.CfgVer))
	if a := v.Attachment; a != nil {
		t.row("host", fmt.Sprintf("%s, engine %s (pid %d)", a.Host, a.EngineState, a.EnginePID))
	}
	showExports(t, v)
	t.row("limit", limitWords(v.Limit))
	t.row("lost legs", "replaced "+replaceAfterWords(v.ReplaceAfter))
	showClone(t, v)
	showScrubs(t, v)
	lastDrill(t, v.LastDrill)
	t.row()
	t.row("LEG", "NODE", "STATE", "CFGVER", "PROGRESS", "CONDITION", "ERROR")
	for _, l := range v.Legs {
		t.row(l.ID[:min(8, len(l.ID))], l.Node, l.State, volume.CfgVer(l.CfgVer),
			fmt.Sprintf("%.0f%%", 100*l.Progress), l.Condition, legNotes(l))
	}
}

// legNotes says what else is to be known of a leg.
func legNotes(l api.Leg) string {
	var notes []string
	if l.SetBack {
		notes = append(notes, "set back to an older state")
	}
	if l.MediumErrors > 0 || l.Healed > 0 {
		notes = append(notes, fmt.Sprintf("%d medium errors, %d blocks healed", l.MediumErrors, l.Healed))
	}
	if l.BannedSeconds > 0 {
		notes = append(notes, fmt.Sprintf("tried again in %.0f s", l.BannedSeconds))
	}
	if l.Error != "" {
		notes = append(notes, l.Error)
	}
	return strings.Join(notes, "; ")
}

func volumeAttach(c *connection) *cobra.Command {
	var r api.AttachVolume
	cmd := &cobra.Command{
		Use:   "attach NAME --host HOST",
		Short: "Attach a volume to a host",
		Long: "Grant the volume to a host and return when it serves there. Again on the same host gives the same\n" +
			"answer. A volume that another host holds is refused, unless --takeover: then that host is fenced\n" +
			"first, whatever state it is in, and none of its writes can land any more.",
		Example: "  holdfast volume attach web1 --host h1\n" +
			"  holdfast volume attach web1 --host h2 --takeover --what-if\n" +
			"  holdfast volume attach web1 --host h2 --takeover",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&r.Host, "host", "", "the host (required)")
	cmd.Flags().BoolVar(&r.Takeover, "takeover", false, "fence the host that holds it and take it")
	cmd.Flags().BoolVar(&r.AcceptLoss, "accept-loss", false,
		"this once, go on although writes that were not flushed may be lost, or, when every leg was set back to\n"+
			"an older state, all that was written since")
	addNoWait(cmd, &r.NoWait)
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		if r.Host == "" {
			return usagef("--host is missing: which host is to attach %s?", list[0])
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		a, err := client.AttachVolume(cmd.Context(), list[0], r)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), a, func(t *table) {
			t.row("VOLUME", "HOST", "EPOCH", "EXPORT")
			for _, e := range a.Exports {
				t.row(a.Volume, a.Host, volume.Epoch(a.Epoch), e.URL)
			}
		})
	}
	addWhatIf(cmd, c, func(list []string) api.PlanRequest {
		return api.PlanRequest{Verb: api.PlanVolumeAttach, Name: list[0], Host: r.Host, Takeover: r.Takeover,
			AcceptLoss: r.AcceptLoss}
	})
	return cmd
}

func volumeDetach(c *connection) *cobra.Command {
	var r api.Wait
	cmd := &cobra.Command{
		Use:   "detach NAME",
		Short: "Detach a volume cleanly",
		Long: "Flush everything, close the volume on each leg and give up the grant. The export ends: stop the\n" +
			"guest first. After a clean detach the next attach has nothing to reconcile.",
		Example: "  holdfast volume detach web1",
		Args:    args(cobra.ExactArgs(1)),
	}
	addNoWait(cmd, &r.NoWait)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		return client.DetachVolume(cmd.Context(), list[0], r)
	}
	addWhatIf(cmd, c, func(list []string) api.PlanRequest {
		return api.PlanRequest{Verb: api.PlanVolumeDetach, Name: list[0]}
	})
	return cmd
}

func volumeDelete(c *connection) *cobra.Command {
	var r api.Wait
	cmd := &cobra.Command{
		Use:     "delete NAME",
		Short:   "Delete a detached volume and all of its data",
		Example: "  holdfast volume delete web1",
		Args:    args(cobra.ExactArgs(1)),
	}
	addNoWait(cmd, &r.NoWait)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		return client.DeleteVolume(cmd.Context(), list[0], r)
	}
	addWhatIf(cmd, c, func(list []string) api.PlanRequest {
		return api.PlanRequest{Verb: api.PlanVolumeDelete, Name: list[0]}
	})
	return cmd
}

func addNoWait(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "no-wait", false, "return once it is decided, not once it is done")
}
