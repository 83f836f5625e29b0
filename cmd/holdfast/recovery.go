package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

func clusterBackup(c *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write what the coordinators know to a file",
		Long: "Writes everything that the coordinators have committed: nodes, volumes, domains, and every secret\n" +
			"of the cluster. Whoever has the file can log in to every leg: keep it as you keep keys. FILE is\n" +
			"made with mode 0600 and never replaced. It holds no data of volumes. `cluster restore` reads it.",
		Example: "  holdfast cluster backup /root/holdfast-$(date +%F).backup",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			data, err := client.Backup(cmd.Context())
			if err != nil {
				return err
			}
			info, err := node.SaveBackup(data, list[0])
			if err != nil {
				return err
			}
			cmd.PrintErrf("%s holds cluster %s as of revision %d: %d nodes, %d volumes, and their secrets\n", list[0],
				info.Cluster, info.Revision, info.Nodes, info.Volumes)
			return nil
		},
	}
}

func clusterRestore(c *connection) *cobra.Command {
	var configFile string
	var o node.RestoreOptions
	var done, yes bool
	cmd := &cobra.Command{
		Use:   "restore FILE | --from-legs | --done",
		Short: "Go on from a backup, or from the legs alone, when the coordinators are gone",
		Long: "Run it on ONE coordinator, whose daemon is stopped, with all other coordinators stopped too. It\n" +
			"makes that node the only coordinator of a new generation of the cluster. With FILE it goes on from\n" +
			"a backup; with --from-legs the catalogue of volumes is made anew from what storage nodes find on\n" +
			"their disks, and domains have to be defined again. Start the node then, and have every other\n" +
			"coordinator rejoin, with the command that is printed.\n\n" +
			"Every attachment is void. A leg that was made since the backup may have the newest writes, and only\n" +
			"its own node knows of it: so no volume of before serves until you say, with --done, that all storage\n" +
			"nodes are back and every leg was found. `holdfast health` names those that are known and have not\n" +
			"told what is on their disks; without them --done wants --yes. After it a volume serves once all of\n" +
			"its legs have answered, from the newest state that they prove; what is missing for good you give up\n" +
			"yourself, with `volume promote`. docs/operations.md has the whole procedure.",
		Example: "  holdfast cluster restore /root/holdfast-2026-11-27.backup --config /etc/holdfast/node.yaml\n" +
			"  holdfast cluster restore --from-legs --config /etc/holdfast/node.yaml\n" +
			"  holdfast cluster restore --from-legs --new-ca --config /etc/holdfast/node.yaml\n" +
			"  holdfast cluster restore --done",
		Args: args(cobra.MaximumNArgs(1)),
	}
	f := cmd.Flags()
	f.StringVar(&configFile, "config", "", "the node's configuration (required, unless --done)")
	f.BoolVar(&o.FromLegs, "from-legs", false, "there is no backup: make the catalogue from the labels of legs")
	f.BoolVar(&o.NewCA, "new-ca", false, "the cluster's CA is lost, too: make another one; every other node\n"+
		"then gets a certificate of it by holdfast cluster join")
	f.Uint32Var(&o.Generation, "generation", 0, "generation to make (default: the next multiple of 1000 above all\n"+
		"that this node knows of)")
	f.BoolVar(&done, "done", false, "every leg was found: let volumes go on, take no more legs into them")
	f.BoolVar(&yes, "yes", false, "with --done: also without storage nodes that have not told what is on their disks")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		ways := len(list)
		for _, way := range []bool{o.FromLegs, done} {
			if way {
				ways++
			}
		}
		if ways != 1 || configFile == "" && !done || o.NewCA && done || yes && !done {
			return usagef("exactly one of FILE, --from-legs and --done, and --config with the first two\nUsage: %s",
				cmd.UseLine())
		}
		if done {
			client, err := c.client()
			if err != nil {
				return err
			}
			return client.EndRestore(cmd.Context(), api.EndRestore{Anyway: yes})
		}
		if len(list) == 1 {
			o.Backup = list[0]
		}
		r, err := node.RestoreCoordinator(cmd.Context(), configFile, o)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), r, func(t *table) { restoredRows(t, r, configFile, o.NewCA) })
	}
	return cmd
}

// restoredRows says what a restore made, and what is to be done next.
func restoredRows(t *table, r node.Restored, configFile string, newCA bool) {
	t.row("cluster", r.Cluster)
	t.row("restored from", r.From)
	t.row("incarnation", r.Incarnation)
	t.row("generation", r.Generation)
	t.row("volumes", r.Volumes)
	t.row("nodes", r.Nodes)
	if len(r.Members) > 0 {
		t.row("members", strings.Join(r.Members, ", "))
		t.row("", "remove again those that were removed since: holdfast node remove")
	}
	if len(r.APITokens) > 0 {
		t.row("API tokens", strings.Join(r.APITokens, ", "))
		t.row("", "revoke again those that were revoked since: holdfast token revoke")
	}
	if r.Kept != "" {
		t.row("old data", r.Kept)
	}
	if !r.Authority {
		t.row("attention", "the cluster's CA and its API tokens are lost: no node can join, no certificate is renewed;")
		t.row("", "`holdfast health` says until when they last; restored with --new-ca they get another CA")
	}
	t.row("next", "start this node")
	t.row("then", fmt.Sprintf("on each other coordinator (%s), with its daemon stopped:",
		orDash(strings.Join(r.Others, ", "))))
	t.row("", fmt.Sprintf("holdfast cluster rejoin --config %s --incarnation %s --generation %d",
		filepath.Clean(configFile), r.Incarnation, r.Generation))
	t.row("at last", "when all storage nodes are back (holdfast health, and your own list of machines):")
	t.row("", "holdfast cluster restore --done    no volume of before serves earlier")
	if newCA {
		t.row("and", "on every other node, with its daemon stopped and a token of `holdfast cluster token create`:")
		t.row("", "holdfast cluster join @TOKENFILE THIS-NODE:PORT --dir "+filepath.Dir(filepath.Clean(configFile)))
	}
}

func clusterRejoin() *cobra.Command {
	var configFile, incarnation string
	var to peer.Lineage
	cmd := &cobra.Command{
		Use:   "rejoin --config FILE",
		Short: "Make a coordinator of before a restore one of the restored cluster",
		Long: "Run it on each coordinator but the one that was restored, with its daemon stopped. It puts the\n" +
			"data of the node's coordinator aside, and makes new ones, with which it waits for the restored\n" +
			"cluster to add it. Legs, engines and guests of the node are not touched. --incarnation and\n" +
			"--generation are those that `cluster restore` printed; a node whose daemon has heard of the\n" +
			"restore knows them itself.",
		Example: "  holdfast cluster rejoin --config /etc/holdfast/node.yaml\n" +
			"  holdfast cluster rejoin --config /etc/holdfast/node.yaml \\\n" +
			"    --incarnation 0b9e6a52-7f0e-4d0b-9d6c-2f6a7c1f6f11 --generation 1000",
		Args: args(cobra.NoArgs),
	}
	cmd.Flags().StringVar(&configFile, "config", "", "the node's configuration (required)")
	cmd.Flags().StringVar(&incarnation, "incarnation", "", "of the restored cluster")
	cmd.Flags().Uint32Var(&to.Generation, "generation", 0, "of the restored cluster")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if configFile == "" || (incarnation == "") != (to.Generation == 0) {
			return usagef("--config is required; --incarnation and --generation go together\nUsage: %s", cmd.UseLine())
		}
		if incarnation != "" {
			id, err := volume.ParseUUID(incarnation)
			if err != nil {
				return usagef("--incarnation: %w", err)
			}
			to.Incarnation = volume.ClusterID{UUID: id}
		}
		kept, err := node.RejoinCoordinator(configFile, to)
		if err != nil {
			return err
		}
		if kept != "" {
			cmd.PrintErrf("the coordinator data of before are in %s\n", kept)
		}
		cmd.PrintErrln("start the node: it waits for the restored cluster to add it")
		return nil
	}
	return cmd
}
