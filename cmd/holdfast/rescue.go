package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node/rescue"
	"github.com/holdfast-storage/holdfast/volume"
)

func newRescue() *cobra.Command {
	cmd := group("rescue", "Read volumes from the disks of storage nodes, without a cluster")
	cmd.Long = "For the day when the cluster is gone and its disks are not. A DIR is a store, or a directory\n" +
		"with stores below it: a node's own, with the node stopped, or a copy or an image of its disk,\n" +
		"mounted anywhere, best read-only. Nothing on it is changed. Start with `rescue scan`."
	cmd.AddCommand(newRescueScan(), newRescueExport())
	return cmd
}

// addBootIDFlag is for containers and tests; see node.yaml's boot_id_file.
func addBootIDFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("boot-id-file", "", "file with the identity of this boot (default the kernel's)")
}

func newRescueScan() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scan DIR…",
		Short: "List the legs on the disks, and what each knows of its volume",
		Long: "Lists every leg that is found: volume, layout, epoch, the in-sync list that the leg knows, and\n" +
			"what is wrong with it. Exit code 1 if a store could not be looked at.",
		Example: "  holdfast rescue scan /srv/holdfast/disk1 /mnt/disk-of-n2\n" +
			"  holdfast rescue scan -o json /mnt",
		Args: args(cobra.MinimumNArgs(1)),
	}
	out, bootID := addOutputFlag(cmd), addBootIDFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, dirs []string) error {
		return withCatalogue(cmd, dirs, *bootID, func(c *rescue.Catalogue) error {
			if err := out.print(cmd.OutOrStdout(), c.Legs, func(t *table) { legTable(t, c.Legs) }); err != nil {
				return err
			}
			if len(c.Problems) > 0 {
				return exitError{exitFailed} // each was printed
			}
			return nil
		})
	}
	return cmd
}

// withCatalogue scans, prints what could not be looked at, and closes everything behind do.
func withCatalogue(cmd *cobra.Command, dirs []string, bootIDFile string, do func(*rescue.Catalogue) error) error {
	c, err := rescue.ScanDirs(cmd.Context(), dirs, bootIDFile)
	if err != nil {
		return err
	}
	for _, p := range c.Problems {
		fmt.Fprintf(cmd.ErrOrStderr(), "holdfast: %s\n", p)
	}
	return errors.Join(do(c), c.Close())
}

func legTable(t *table, legs []*rescue.Evidence) {
	t.row("VOLUME", "LAYOUT", "SIZE", "DURABILITY", "SLOT", "LEG", "EPOCH", "CFGVER", "IN-SYNC", "STATE", "DIR")
	for _, e := range legs {
		if e.NoLabel != "" {
			t.row("-", "-", "-", "-", "-", e.Leg, "-", "-", "-", "no label: "+e.NoLabel, e.Dir)
			continue
		}
		inSync := make([]string, len(e.InSync))
		for i, id := range e.InSync {
			inSync[i] = id.String()
		}
		t.row(e.VolumeName, e.Layout, volume.FormatSize(e.SizeBytes), e.Durability, e.Slot, e.Leg, e.Epoch, e.CfgVer,
			orDash(strings.Join(inSync, ",")), legState(e), e.Dir)
	}
}

// legState is what is to be known of a leg besides its place.
func legState(e *rescue.Evidence) string {
	var words []string
	switch {
	case e.Lossy:
		words = append(words, fmt.Sprintf("lossy (%d regions marked)", e.MarkedRegions))
	case e.Marked:
		words = append(words, fmt.Sprintf("marked (%d regions)", e.MarkedRegions))
	case e.Closed:
		words = append(words, "detached")
	default:
		words = append(words, "clean")
	}
	if e.Records > 0 {
		words = append(words, fmt.Sprintf("%d records in its journal", e.Records))
	}
	words = append(words, e.Damage...)
	if e.Problem != "" {
		words = append(words, e.Problem)
	}
	if len(e.AlsoAt) > 0 {
		words = append(words, "also in "+strings.Join(e.AlsoAt, ", "))
	}
	return strings.Join(words, "; ")
}

func newRescueExport() *cobra.Command {
	var o rescue.Options
	var legs []string
	cmd := &cobra.Command{
		Use:   "export DIR… --volume NAME|ID --to FILE",
		Short: "Write the bytes of a volume to a file",
		Long: "Takes the legs that the labels prove to hold every acknowledged write, says why each leg is used\n" +
			"or not, verifies each block's checksum, and writes a sparse image. It refuses when that would be a\n" +
			"guess, and says what is missing; with --leg the decision is yours. FILE.report lists the evidence\n" +
			"and every block that needed a choice. FILE appears when it is whole; until then the work is in\n" +
			"FILE.part, and an export that was interrupted goes on with --resume.\n\n" +
			"Of parity=k+m any k legs are enough. Their journals are read as well: what a write that was under\n" +
			"way had reached counts or not as it would for an engine. A block whose leg is absent or cannot read\n" +
			"it is decoded from others.\n\n" +
			"--leg names the leg of a mirror. For parity it is given k times or more, once for each leg to use;\n" +
			"no others are. After a power cut of all of them (the usual case: every leg is lossy) name all legs\n" +
			"of the newest list: what the guest flushed is there, later writes may be missing. Legs of different\n" +
			"times cannot be put together: the report lists what does not fit, if more than k are named.",
		Example: "  holdfast rescue export /mnt/n1 /mnt/n2 --volume web1 --to /backup/web1.img\n" +
			"  holdfast rescue export /mnt/n1 /mnt/n2 --volume web1 --to /backup/web1.img --resume\n" +
			"  holdfast rescue export /mnt/n1 --volume web1 --to /backup/web1.img \\\n" +
			"    --leg 0b9e6a52-7f0e-4d0b-9d6c-2f6a7c1f6f11\n" +
			"  holdfast rescue export /mnt/n1 /mnt/n2 --volume archive --to /backup/archive.img \\\n" +
			"    --leg 1c34f1d0-52a8-4c35-8a5b-5b1b0f0f7c02 --leg 9f0d7c1e-0a77-4d57-b7a4-3de1c7a86a55",
		Args: args(cobra.MinimumNArgs(1)),
	}
	f := cmd.Flags()
	f.StringVar(&o.Volume, "volume", "", "name or id of the volume (required)")
	f.StringVar(&o.To, "to", "", "file to make (required)")
	f.StringArrayVar(&legs, "leg", nil,
		"id of the leg whose bytes are taken whatever the labels say; of parity one of k or more, each with --leg")
	f.BoolVar(&o.AllowUnreadable, "allow-unreadable", false,
		"make FILE although blocks are unreadable: they are zeroes, and listed")
	f.BoolVar(&o.Resume, "resume", false, "go on with an export that was interrupted")
	f.BoolVar(&o.Force, "force", false, "replace FILE, and begin anew")
	bootID := addBootIDFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, dirs []string) error {
		if o.Volume == "" || o.To == "" {
			return usagef("--volume and --to are required\nUsage: %s", cmd.UseLine())
		}
		for _, leg := range legs {
			id, err := volume.ParseUUID(leg)
			if err != nil {
				return usagef("--leg: %w", err)
			}
			o.Legs = append(o.Legs, volume.LegID{UUID: id})
		}
		return withCatalogue(cmd, dirs, *bootID, func(c *rescue.Catalogue) error {
			return export(cmd.Context(), c, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		})
	}
	return cmd
}

func export(ctx context.Context, c *rescue.Catalogue, o rescue.Options, stdout, stderr io.Writer) error {
	p := &exportProgress{w: stderr, every: 10 * time.Second}
	if file, ok := stderr.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.terminal, p.every = true, time.Second/5
		}
	}
	o.Progress = p.show
	r, err := c.Export(ctx, o)
	p.end()
	if r == nil {
		return err
	}
	for _, v := range r.Legs {
		used := "not used"
		if v.Used {
			used = "used"
		}
		fmt.Fprintf(stdout, "leg %s in %s %s: %s\n", v.Leg, v.Dir, used, v.Why)
	}
	for _, why := range r.Overruled {
		fmt.Fprintf(stdout, "overruled by --leg: %s\n", why)
	}
	if u := r.Recovery; u != nil && len(u.Forward)+len(u.TakenBack) > 0 {
		fmt.Fprintf(stdout, "of writes that were under way %d count and %d do not\n", len(u.Forward), len(u.TakenBack))
	}
	if n := r.DecodedBytes(); n > 0 {
		fmt.Fprintf(stdout, "%d bytes decoded from other legs\n", n)
	}
	for _, s := range []struct {
		what string
		list []rescue.Span
	}{
		{"taken from another leg", r.FromOther}, {"of an unfinished write, one leg's taken", r.Differing},
		{"of an unfinished write, whole on no leg", r.Adopted}, {"different without reason", r.Diverged},
		{"unreadable", r.Unreadable},
	} {
		if len(s.list) > 0 {
			fmt.Fprintf(stdout, "%d bytes %s\n", rescue.Bytes(s.list), s.what)
		}
	}
	switch {
	case errors.Is(err, context.Canceled): // in words of its own: the cluster has no part in this
		return fmt.Errorf("interrupted at byte %d of %d; --resume goes on from there", r.NextByte, r.SizeBytes)
	case err != nil:
		return err
	}
	fmt.Fprintf(stdout, "%s holds volume %s, %s; see %s.report\n",
		o.To, r.VolumeName, volume.FormatSize(r.SizeBytes), o.To)
	return nil
}

// exportProgress tells now and then how far an export is.
type exportProgress struct {
	w        io.Writer
	terminal bool
	every    time.Duration
	last     time.Time
	drawn    bool
}

func (p *exportProgress) show(done, total int64) {
	now := time.Now()
	if done < total && now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	text := fmt.Sprintf("%d%%  %s of %s", done*100/max(total, 1), volume.FormatSize(done), volume.FormatSize(total))
	if p.terminal {
		fmt.Fprintf(p.w, "\r\033[K%s", text)
		p.drawn = true
		return
	}
	fmt.Fprintln(p.w, text)
}

func (p *exportProgress) end() {
	if p.drawn {
		fmt.Fprintln(p.w)
	}
}
