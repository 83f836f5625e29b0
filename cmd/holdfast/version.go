package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node"
)

// build is what `holdfast version` prints.
type build struct {
	Version  string               `json:"version"`
	Revision string               `json:"revision"`
	Go       string               `json:"go"`
	Formats  []node.FormatVersion `json:"formats"`
}

func newVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version of this binary and of every format that it knows",
		Example: "  holdfast version -o json",
		Args:    args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b := build{Version: "(devel)", Formats: node.Versions()}
		if info, ok := debug.ReadBuildInfo(); ok {
			b.Version, b.Go = info.Main.Version, info.GoVersion
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" {
					b.Revision = s.Value
				}
			}
		}
		if !out.json() {
			name := fmt.Sprintf("holdfast %s %s %s", b.Version, b.Revision, b.Go)
			fmt.Fprintln(cmd.OutOrStdout(), strings.Join(strings.Fields(name), " "))
		}
		return out.print(cmd.OutOrStdout(), b, func(t *table) {
			t.row("FORMAT", "READS", "WRITES")
			for _, f := range b.Formats {
				t.row(f.Name, span(f.Oldest, f.Newest), f.Newest)
			}
		})
	}
	return cmd
}

func span(oldest, newest int) string {
	if oldest == newest {
		return fmt.Sprint(newest)
	}
	return fmt.Sprintf("%d to %d", oldest, newest)
}

func clusterUpgrade(c *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "upgrade",
		Short: "Use the newest cluster version that every coordinator understands",
		Long: "After an upgrade of all nodes the cluster goes on with the version that the former release knew,\n" +
			"so that it can be put back. It uses the newer one by itself ten minutes after the last coordinator\n" +
			"was upgraded, or at once by this command. From then on the former release no longer starts as a\n" +
			"coordinator.",
		Example: "  holdfast cluster upgrade",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			s, err := client.UpgradeCluster(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "cluster version %s\n", describeVersion(s))
			return nil
		},
	}
}

// describeVersion says which version a cluster uses and what stands against a higher one.
func describeVersion(s api.Cluster) string {
	switch {
	case s.NextVersion > s.Version:
		return fmt.Sprintf("%d; every coordinator understands %d: it is used in at most ten minutes, "+
			"or by `holdfast cluster upgrade`", s.Version, s.NextVersion)
	case len(s.VersionWaitsFor) > 0:
		return fmt.Sprintf("%d; a higher one waits for an upgrade of %s", s.Version,
			strings.Join(s.VersionWaitsFor, ", "))
	}
	return fmt.Sprint(s.Version)
}
