package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// Words that stand for an address.
const (
	exportAuto = "auto"
	exportOff  = "off"
)

func volumeExport(c *connection) *cobra.Command {
	var iscsi, nbdTLS string
	var open, secret bool
	cmd := &cobra.Command{
		Use:   "export NAME [--iscsi ADDR:PORT|auto|off | --nbd-tls ADDR:PORT|auto|off]",
		Short: "Let guests reach a volume by iSCSI, or from other machines by NBD with TLS, too",
		Long: "An attached volume is reached by NBD on a unix socket of its host, by root of that host alone. This\n" +
			"adds iSCSI, for open-iscsi, Xen, Windows and whatever else has an initiator. The host that has\n" +
			"the volume listens on ADDR:PORT; auto is loopback and a port that no other volume has. Guests prove a\n" +
			"secret by CHAP, which is made anew each time this is set, and which --secret prints to an admin. On\n" +
			"loopback, --open does without; then every user of the host can read and write the disk.\n\n" +
			"--nbd-tls adds NBD over TCP with TLS, for QEMU, libnbd and others on any machine that have a\n" +
			"credential of the volume, as `holdfast volume credential` makes. Here auto is every IPv4 address of\n" +
			"the host.\n\n" +
			"The volume must be detached; it has the export from the next attach on. Without a flag this prints\n" +
			"what is set. volume show says how an attached volume is reached.",
		Example: "  holdfast volume export web1 --iscsi auto\n" +
			"  holdfast volume export web1 --iscsi 10.0.0.1:3261\n" +
			"  holdfast volume export web1 --iscsi auto --open\n" +
			"  holdfast volume export web1 --secret\n" +
			"  holdfast volume export web1 --nbd-tls 0.0.0.0:10809\n" +
			"  holdfast volume export web1 --iscsi off",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&iscsi, "iscsi", "", "where to listen: ADDR:PORT, auto, or off")
	cmd.Flags().StringVar(&nbdTLS, "nbd-tls", "", "where to listen: ADDR:PORT, auto, or off")
	cmd.Flags().BoolVar(&open, "open", false, "ask for no secret; on loopback only")
	cmd.Flags().BoolVar(&secret, "secret", false, "print what guests have to prove")
	cmd.MarkFlagsMutuallyExclusive("secret", "iscsi", "nbd-tls")
	cmd.MarkFlagsMutuallyExclusive("open", "nbd-tls")
	cmd.MarkFlagsMutuallyExclusive("secret", "open")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		set, err := exportRequest(volume.ExportISCSI, iscsi, open)
		if err == nil && set == nil {
			set, err = exportRequest(volume.ExportNBDTLS, nbdTLS, false)
		}
		if err != nil {
			return err
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		if secret {
			all, err := client.ExportSecrets(cmd.Context(), list[0])
			if err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), all, func(t *table) { secretRows(t, all) })
		}
		var v api.Volume
		if set == nil {
			v, err = client.Volume(cmd.Context(), list[0])
		} else {
			v, err = client.SetVolume(cmd.Context(), list[0], api.SetVolume{Export: set})
		}
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), v.Exports, func(t *table) { exportRows(t, v.Exports) })
	}
	return cmd
}

// exportRequest returns what a flag asks for of a kind of export, nil if it was not given.
func exportRequest(kind volume.ExportKind, where string, open bool) (*api.SetExport, error) {
	set := &api.SetExport{Kind: string(kind), Address: where, Open: open}
	switch where {
	case "":
		if open {
			return nil, usagef("--open says how an export is, not where: name one, as in --%s auto", kind)
		}
		return nil, nil
	case exportAuto:
		set.Address = ""
	case exportOff:
		if open {
			return nil, usagef("--open and --%s off contradict each other", kind)
		}
		set.Address, set.Off = "", true
	default:
		// Whether a secret is made is decided there; that it is an address can be said here.
		probe := volume.ExportSetting{Kind: kind, Address: where}
		if !open && kind.AsksSecret() {
			probe.Secret = volume.ExportSecret(strings.Repeat("x", volume.ExportSecretMax))
		}
		if err := probe.Check(); err != nil {
			return nil, usageError{fmt.Errorf("--%s: %w", kind, err)}
		}
	}
	return set, nil
}

func exportRows(t *table, exports []api.ExportSetting) {
	t.row("KIND", "ADDRESS", "USER")
	for _, x := range exports {
		t.row(x.Kind, x.Address, orDash(x.User))
	}
}

func secretRows(t *table, secrets []api.ExportSecret) {
	t.row("KIND", "USER", "SECRET")
	for _, x := range secrets {
		t.row(x.Kind, x.User, x.Secret)
	}
}

// showExports adds to the description of a volume what is set and what there is of its exports.
func showExports(t *table, v api.Volume) {
	for _, x := range v.Exports {
		who := "open to every user of the host"
		switch {
		case x.User != "":
			who = "for CHAP user " + x.User
		case volume.ExportKind(x.Kind).Proof() == volume.ProofCredential:
			who = "for who has a credential of it"
		}
		t.row("exported", fmt.Sprintf("by %s at %s, %s", x.Kind, x.Address, who))
	}
	if v.Attachment == nil {
		return
	}
	for _, e := range v.Attachment.Exports {
		t.row("export", e.URL)
		if e.BoundURL != "" && e.BoundURL != e.URL {
			t.row("bound", e.BoundURL)
		}
	}
	for _, f := range v.Attachment.ExportFaults {
		t.row("no export", fmt.Sprintf("by %s at %s: %s", f.Kind, f.Address, f.Error))
	}
}
