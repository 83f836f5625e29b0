package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

func newImage(c *connection) *cobra.Command {
	cmd := group("image", "Keep what guests boot from: root images, kernels, firmware")
	cmd.Long = "An image is a name for content that guests boot from, version by version. The cluster keeps each\n" +
		"version on three nodes, and on the hosts of domains that need it before they start there. A domain\n" +
		"names an image in its definition (boot: {root_image: image:debian@3}) and stays with that version\n" +
		"until it is pinned to another one: holdfast domain pin, and holdfast domain rollback. What a node has\n" +
		"of images is a copy: one that was wiped gets it again."
	cmd.AddCommand(imageAdd(c), imageList(c), imageShow(c), imageDelete(c))
	return cmd
}

func imageAdd(c *connection) *cobra.Command {
	var image api.NewImage
	cmd := &cobra.Command{
		Use:   "add NAME FILE",
		Short: "Send a file to the cluster as the next version of an image",
		Long: "Send FILE, or standard input for -, to the cluster as the next version of the image NAME. Content\n" +
			"that a version of the image has already is that version: it is not sent again. What is interrupted\n" +
			"leaves nothing behind. Nothing boots from a new version before a domain is pinned to it.",
		Example: "  holdfast image add debian debian-13.img --comment '13.2 with our keys'\n" +
			"  xz -dc debian-13.img.xz | holdfast image add debian -",
		Args: args(cobra.ExactArgs(2)),
	}
	cmd.Flags().StringVar(&image.Comment, "comment", "", "what is to be remembered of this version, in one line")
	cmd.Flags().IntVar(&image.Version, "number", 0,
		"the number that the version is to have, at most 1000 above the last one; default: the next")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		v, err := addImage(cmd, client, list[0], list[1], image)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), v, func(t *table) {
			t.row("image", guest.Image{Name: list[0], Version: v.Version})
			t.row("digest", v.Digest)
			t.row("size", volume.FormatSize(v.SizeBytes))
			t.row("copies", fmt.Sprintf("%d of %d; the others follow by themselves", v.Copies, v.Wanted))
		})
	}
	return cmd
}

// addImage sends a file with its progress.
func addImage(cmd *cobra.Command, client *api.Client, name, file string, image api.NewImage) (api.ImageVersion, error) {
	image.Content = cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return api.ImageVersion{}, err
		}
		defer f.Close() // only read from
		if image.Digest, image.SizeBytes, err = digestOf(cmd.Context(), f); err != nil {
			return api.ImageVersion{}, err
		}
		image.Content = f
	}
	bar := newProgress(cmd.ErrOrStderr())
	defer bar.end()
	if bar.terminal {
		image.Progress = func(sent int64) { bar.sent(sent, image.SizeBytes) }
	}
	return client.AddImage(cmd.Context(), name, image)
}

// digestOf reads a file, and is at its beginning again.
func digestOf(ctx context.Context, f *os.File) (digest string, size int64, err error) {
	sum := sha256.New()
	if size, err = io.Copy(sum, whileWanted{ctx, f}); err != nil {
		return "", 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", 0, fmt.Errorf("%s can be read once only: give it as standard input, with - : %w", f.Name(), err)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), size, nil
}

// whileWanted reads until ctx ends.
type whileWanted struct {
	ctx  context.Context
	from io.Reader
}

func (w whileWanted) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.from.Read(p)
}

func imageList(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the images and their newest versions", Example: "  holdfast image list",
		Args: args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		images, err := client.Images(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), images, func(t *table) {
			t.row("NAME", "VERSIONS", "NEWEST", "SIZE", "COPIES", "ADDED", "COMMENT")
			for _, i := range images {
				if n := len(i.Versions); n > 0 {
					v := i.Versions[n-1]
					t.row(i.Name, n, v.Version, volume.FormatSize(v.SizeBytes), copiesText(v),
						v.AddedAt.Local().Format(time.DateTime), orDash(v.Comment))
				}
			}
		})
	}
	return cmd
}

func copiesText(v api.ImageVersion) string { return fmt.Sprintf("%d/%d", v.Copies, v.Wanted) }

func imageShow(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show the versions of an image, who has them and who needs them",
		Example: "  holdfast image show debian", Args: args(cobra.ExactArgs(1)),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		i, err := client.Image(cmd.Context(), list[0])
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), i, func(t *table) {
			t.row("VERSION", "SIZE", "COPIES", "ADDED", "DIGEST", "ON", "NEEDED BY", "COMMENT")
			for _, v := range i.Versions {
				t.row(v.Version, volume.FormatSize(v.SizeBytes), copiesText(v),
					v.AddedAt.Local().Format(time.DateTime), volume.Digest(v.Digest).Short(), holdersText(v),
					orDash(strings.Join(v.NeededBy, "; ")), orDash(v.Comment))
			}
		})
	}
	return cmd
}

// holdersText says which nodes have a version, and how far those are that get it.
func holdersText(v api.ImageVersion) string {
	var all []string
	for _, h := range v.Holders {
		text := h.Node
		if !h.Has {
			text += fmt.Sprintf(" (%s %.0f %%", h.State, 100*h.Progress)
			if h.Error != "" {
				text += ": " + h.Error
			}
			text += ")"
		}
		all = append(all, text)
	}
	return orDash(strings.Join(all, ", "))
}

func imageDelete(c *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME[@VERSION]",
		Short: "Forget a version of an image, or all of them",
		Long: "Forget a version of an image, or all of them. It is refused, and says by whom, while a domain is\n" +
			"pinned to one, runs with it, or can be rolled back to it. Its number is not given again. Nodes remove\n" +
			"the file an hour later.",
		Example: "  holdfast image delete debian@3",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			image, err := guest.ParseImage(list[0])
			if err != nil {
				return usageError{err}
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			return client.DeleteImage(cmd.Context(), image.Name, image.Version)
		},
	}
}

func domainPin(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pin DOMAIN IMAGE@VERSION",
		Short: "Boot a domain from another version of an image, from its next start on",
		Long: "Have a domain boot from another version of an image that its definition names. A guest that runs\n" +
			"goes on with what it was started with, also when it is migrated: the pin holds from the next start on,\n" +
			"and a failover is one. holdfast domain rollback takes it back.",
		Example: "  holdfast domain pin web1 debian@4",
		Args:    args(cobra.ExactArgs(2)),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		d, err := client.PinDomain(cmd.Context(), list[0], list[1])
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), d, func(t *table) { pinRows(t, d) })
	}
	return cmd
}

func domainRollback(c *connection) *cobra.Command {
	return domainVerbShown("rollback NAME", "Boot a domain from what it was pinned to before, from its next start on",
		"Pin a domain to the versions of images that it was pinned to before, from its next start on. Said once more\n"+
			"it takes itself back.",
		"  holdfast domain rollback web1", pinRows,
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			return client.RollbackDomain(cmd.Context(), name)
		})
}

// domainVerbShown is domainVerb for what is shown in another way than as a row of the list.
func domainVerbShown(use, short, long, example string, show func(*table, api.Domain),
	do func(*cobra.Command, string) (api.Domain, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: args(cobra.ExactArgs(1))}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		d, err := do(cmd, list[0])
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), d, func(t *table) { show(t, d) })
	}
	return cmd
}

// pinRows say what a domain boots from, now and next.
func pinRows(t *table, d api.Domain) {
	pinned := imagesOf(d)
	t.row("pinned to", orDash(strings.Join(pinned, ", ")))
	if len(d.RollsBack) > 0 {
		t.row("rolls back to", strings.Join(d.RollsBack, ", "))
	}
	switch {
	case len(d.Boots) == 0:
		t.row("takes effect", "at its next start")
	case strings.Join(d.Boots, " ") == strings.Join(pinned, " "):
		t.row("takes effect", "it runs with that")
	default:
		t.row("takes effect", fmt.Sprintf("at its next start: it runs on %s with %s", d.Host,
			strings.Join(d.Boots, ", ")))
	}
}

func imagesOf(d api.Domain) []string {
	var names []string
	for _, i := range d.Spec.Images() {
		names = append(names, i.String())
	}
	return names
}
