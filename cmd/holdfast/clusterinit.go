package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/node/enroll"
	"github.com/holdfast-storage/holdfast/node/identity"
)

// machineFlags are the flags that say what a machine is to be.
type machineFlags struct {
	machine enroll.Machine
	roles   string
	stores  []string
	witness bool
}

func (f *machineFlags) add(cmd *cobra.Command) {
	m, flags := &f.machine, cmd.Flags()
	flags.StringVar(&m.Dir, "dir", enroll.DefaultDir, "directory for key, certificate and node.yaml")
	flags.StringVar(&m.Name, "name", "", "the node's name (default the host's)")
	flags.StringVar(&f.roles, "roles", "", "what it does: some of coordinator,storage,host (default all)")
	flags.StringVar(&m.Address, "address", "", "IP address or name of this machine, for the addresses below\n"+
		"that are not given, at the ports "+enroll.PortAPI+", "+enroll.PortRaft+", "+enroll.PortISCSI)
	flags.StringVar(&m.Listen.API, "listen-api", "", "host:port of its HTTPS API")
	flags.StringVar(&m.Listen.Raft, "listen-raft", "", "host:port of its coordinator")
	flags.StringVar(&m.Listen.ISCSI, "listen-iscsi", "", "IP:port of its iSCSI portal, on the storage network")
	flags.StringVar(&m.Storage, "storage-network", "", "the network that carries iSCSI, as in 10.0.1.0/24; only a\n"+
		"portal on loopback needs none")
	flags.StringArrayVar(&f.stores, "store", nil, "NAME=PATH of a directory for legs; may be repeated")
	flags.StringVar(&m.DataDir, "data-dir", enroll.DefaultDataDir, "directory that survives a restart of the\n"+
		"machine")
	flags.StringVar(&m.RunDir, "run-dir", enroll.DefaultRunDir, "directory for sockets, short")
	flags.StringVar(&m.Location.Zone, "zone", "", "zone in which the machine stands")
	flags.StringVar(&m.Location.Rack, "rack", "", "rack in which the machine stands")
}

// parse completes the machine from the flags.
func (f *machineFlags) parse() (enroll.Machine, error) {
	m := f.machine
	var err error
	if m.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return m, err
		}
		m.Name, _, _ = strings.Cut(strings.ToLower(host), ".")
	}
	roles := f.roles
	if f.witness {
		if f.roles != "" || len(f.stores) > 0 {
			return m, usagef("--witness is a coordinator without data: give neither --roles nor --store with it")
		}
		roles = "coordinator"
	}
	if m.Roles, err = devcluster.ParseRoles(roles); err != nil {
		return m, usageError{err}
	}
	for _, text := range f.stores {
		name, path, ok := strings.Cut(text, "=")
		if !ok || name == "" || path == "" {
			return m, usagef("--store %q: want NAME=PATH, as in nvme0=/srv/holdfast/nvme0", text)
		}
		m.Stores = append(m.Stores, config.Store{Name: name, Path: path})
	}
	return m, nil
}

func clusterInit() *cobra.Command {
	var f machineFlags
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use:   "init NAME",
		Short: "Make a cluster of which this machine is the first node",
		Long: "Makes the cluster's certificate authority, this node's key and certificate, and its node.yaml.\n" +
			"Nothing runs yet: `holdfast serve` does. The authority's key is handed to the coordinators, which\n" +
			"renew the certificates of all nodes by themselves.",
		Example: "  holdfast cluster init prod --address 10.0.0.1 --listen-iscsi 10.0.1.1:3260 \\\n" +
			"    --storage-network 10.0.1.0/24 --store nvme0=/srv/holdfast/nvme0",
		Args: args(cobra.ExactArgs(1)),
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&lifetime, "cert-lifetime", identity.DefaultLifetime,
		"how long certificates of nodes are valid; they are renewed at two thirds")
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		m, err := f.parse()
		if err != nil {
			return err
		}
		c, err := enroll.Found(list[0], m, lifetime)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "cluster %s (%s): this machine is node %s\n", c.Cluster.Name, c.Cluster.ID,
			c.Name)
		sayServe(cmd.OutOrStdout(), m.Dir)
		return nil
	}
	return cmd
}

// sayServe prints the command that runs the node.
func sayServe(w io.Writer, dir string) {
	fmt.Fprintf(w, "holdfast serve --config %s\n", enroll.ConfigFile(dir))
}
