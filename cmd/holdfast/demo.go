package main

import (
	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node/demo"
)

func newDemo() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Do the four daily jobs on a throw-away cluster, and check that everything held",
		Long: "Starts three storage nodes and two hosts as processes in a temporary directory, lets a guest write\n" +
			"numbered records, freezes its host, replaces a storage node, and verifies every record. Takes about a\n" +
			"minute, exits 0 only if all of it held, and leaves no process and no file behind.\n\n" +
			"With --guest the guest is Linux in a virtual machine: it boots from the volume, its host loses its\n" +
			"power, and it goes on elsewhere. That needs QEMU, and Debian's kernel, which is fetched once from\n" +
			"apt's mirrors into the user's cache; nothing is installed.",
		Example: "  holdfast demo\n  holdfast demo --guest",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out = cmd.OutOrStdout()
			return demo.Run(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave the cluster's files for a look")
	cmd.Flags().BoolVar(&o.Guest, "guest", false, "with Linux in a virtual machine as the guest")
	cmd.AddCommand(newDemoGuest(), newDemoReap())
	return cmd
}

func newDemoGuest() *cobra.Command {
	var o demo.GuestOptions
	cmd := &cobra.Command{
		Use:    "guest --url URL --epoch EPOCH --log FILE",
		Short:  "The program that the demo runs as its guest",
		Hidden: true,
		Args:   args(cobra.NoArgs),
		RunE:   func(cmd *cobra.Command, _ []string) error { return demo.RunGuest(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.URL, "url", "", "the disk's export")
	cmd.Flags().StringVar(&o.Epoch, "epoch", "", "of the grant")
	cmd.Flags().StringVar(&o.Log, "log", "", "file to report to")
	cmd.Flags().DurationVar(&o.Pause, "pause", demo.GuestPause, "between two flushes")
	return cmd
}

func newDemoReap() *cobra.Command {
	var dir string
	var keep bool
	cmd := &cobra.Command{
		Use:    "reap --dir DIR",
		Short:  "Take down what a demo that was killed left, once standard input ends",
		Hidden: true,
		Args:   args(cobra.NoArgs),
		RunE:   func(cmd *cobra.Command, _ []string) error { return demo.Reap(cmd.InOrStdin(), dir, keep) },
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the demo's directory")
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the files")
	return cmd
}
