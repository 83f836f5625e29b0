package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node/standalone"
	"github.com/holdfast-storage/holdfast/volume"
)

func newTarget() *cobra.Command {
	var o standalone.Options
	var luns []string
	var memory string
	cmd := &cobra.Command{
		Use:   "target --listen ADDR --iqn IQN --lun PATH[,OPTION]…",
		Short: "Serve files as iSCSI LUNs, without a cluster",
		Long: "A plain iSCSI target. Each --lun is a file, or a block device, that is served under the next LUN\n" +
			"number from 0. Its options, after commas: size=SIZE makes a file that is missing or shorter that long,\n" +
			"without taking up space; readonly; physical=512 is for guests that take no disk\n" +
			"with physical blocks of 4096; removable lets initiators eject and load it; serial=TEXT is its\n" +
			"serial number, for which otherwise one is kept with the file, so that another file under the same\n" +
			"name is another disk; reservations=FILE keeps the persistent reservations that are to outlive\n" +
			"a restart, by default PATH.reservations for a file and nowhere for a block device.\n" +
			"Prints a line `ready iscsi://ADDR/IQN/0` for each --listen once it serves.\n" +
			"With --metrics, /metrics is for Prometheus, /target/sessions lists the sessions, and\n" +
			"/target/trace?tsih=N&seconds=S shows the PDUs of one as they come.\n" +
			"SIGTERM stops it in order.",
		Example: "  holdfast target --listen 127.0.0.1:3260 --iqn iqn.2026-11.example:d --lun /var/disk.img,size=1G\n" +
			"  holdfast target --listen '[::1]:3260' --iqn iqn.2026-11.example:d --lun a.img \\\n" +
			"    --lun b.img,readonly --chap-user alice --chap-secret-file /etc/holdfast/alice\n" +
			"  holdfast target --listen 127.0.0.1:3260 --iqn iqn.2026-11.example:d --lun a.img \\\n" +
			"    --metrics 127.0.0.1:9260",
		Args: args(cobra.NoArgs),
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Listen, "listen", nil, "address to listen at, host:port; may be repeated (required)")
	f.StringVar(&o.IQN, "iqn", "", "name of the target (required)")
	f.StringArrayVar(&luns, "lun", nil, "file to serve: PATH[,OPTION]…, see above; may be repeated (required)")
	f.StringVar(&o.Metrics, "metrics", "", "address to show metrics and sessions at, host:port: HTTP without any\n"+
		"security, so loopback unless --metrics-open")
	f.BoolVar(&o.MetricsOpen, "metrics-open", false, "metrics may be at an address that other machines reach")
	f.IntVar(&o.MaxConnections, "max-connections", 1024, "connections that may be open at once")
	f.StringVar(&memory, "memory", "1G", "memory for data of all connections together, see docs/security.md")
	f.StringVar(&o.ChapUser, "chap-user", "", "name that initiators must prove")
	f.StringVar(&o.ChapSecretFile, "chap-secret-file", "", "file with its secret")
	f.StringVar(&o.MutualUser, "mutual-user", "", "name that the target proves to initiators that ask")
	f.StringVar(&o.MutualSecretFile, "mutual-secret-file", "", "file with its secret")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(o.Listen) == 0 || o.IQN == "" || len(luns) == 0 {
			return usagef("--listen, --iqn and --lun are required\nUsage: %s", cmd.UseLine())
		}
		for _, text := range luns {
			l, err := standalone.ParseLUN(text)
			if err != nil {
				return usageError{err}
			}
			o.LUNs = append(o.LUNs, l)
		}
		var err error
		if o.MemoryBytes, err = volume.ParseSize(memory); err != nil {
			return usageError{fmt.Errorf("--memory: %w", err)}
		}
		o.Ready = cmd.OutOrStdout()
		o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
		return standalone.Serve(cmd.Context(), o)
	}
	return cmd
}
