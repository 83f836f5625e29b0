package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node"
	"github.com/holdfast-storage/holdfast/node/engine"
)

func newServe() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the daemon of one node",
		Long: "Runs the node that node.yaml describes, in the foreground, logging to standard error. SIGTERM\n" +
			"ends it in order; engines and guests go on and are adopted by the next daemon.",
		Example: "  holdfast serve --config /etc/holdfast/node.yaml",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return usagef("--config is missing: which node.yaml?")
			}
			return node.Serve(cmd.Context(), config, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the node's node.yaml (required)")
	return cmd
}

func newEngine() *cobra.Command {
	return &cobra.Command{
		Use:   "engine",
		Short: "Serve one attached volume; the daemon of a host starts it",
		Long: "Reads its start document, with the grant's secrets, from standard input. It is started by\n" +
			"`holdfast serve` on a host and outlives it; there is no use in starting it by hand.",
		Hidden: true,
		Args:   args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return engine.Run(cmd.Context(), engine.Options{
				Input: cmd.InOrStdin(), Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)),
			})
		},
	}
}
