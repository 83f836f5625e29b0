package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/enroll"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/site/tree"
)

func nodeBootstrap() *cobra.Command {
	var dir, name string
	var found bool
	cmd := &cobra.Command{
		Use:   "bootstrap -f DIR [TOKEN]",
		Short: "Make this machine the node that a site says it is, also after it was installed anew",
		Long: "Reads pservers/NAME/node.yaml of the site in DIR (see `holdfast plan --help`) and joins the cluster\n" +
			"by TOKEN, as `holdfast cluster join` does, at whichever other server of the site answers. If the\n" +
			"cluster has a node of that name, this machine waits to take its place, which `holdfast apply` lets it\n" +
			"do once the machine of before is silent. Nothing runs yet: `holdfast serve` does.\n\n" +
			"TOKEN is what `holdfast cluster token create` printed; `-` reads it from standard input and @FILE from\n" +
			"a file. With --init there is no token: this machine makes the cluster, as its first node.\n\n" +
			"On a machine that is that node already, without a token, its node.yaml is made what the site says;\n" +
			"it stays the same node, and its daemon goes by that once it is started anew.",
		Example: "  holdfast node bootstrap -f /srv/site @/root/token\n" +
			"  holdfast node bootstrap -f /srv/site --name n2 - < token\n" +
			"  holdfast node bootstrap -f /srv/site --init\n" +
			"  holdfast node bootstrap -f /srv/site           # its node.yaml follows the site",
		Args: args(cobra.MaximumNArgs(1)),
	}
	cmd.Flags().StringVarP(&dir, "file", "f", "", "directory of the site (required)")
	cmd.Flags().StringVar(&name, "name", "", "which server of the site this machine is (default the host's name)")
	cmd.Flags().BoolVar(&found, "init", false, "make the cluster, of which this machine is the first node")
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		switch {
		case dir == "":
			return usagef("-f is missing: in which directory is the site?")
		case found && len(list) == 1:
			return usagef("with --init this machine makes the cluster: it needs no token")
		}
		if name == "" {
			host, err := os.Hostname()
			if err != nil {
				return err
			}
			name, _, _ = strings.Cut(strings.ToLower(host), ".")
		}
		s, err := tree.ReadDir(dir)
		if err != nil {
			return err
		}
		c, err := becomeNode(cmd, s, name, found, list)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "this machine is node %s (%s) of cluster %s; once it runs, "+
			"`holdfast apply -f %s` does what is left to do\n", c.Name, c.ID, c.Cluster.Name, dir)
		sayServe(cmd.OutOrStdout(), filepath.Dir(c.TLS.Key))
		return nil
	}
	return cmd
}

// becomeNode makes the machine the node of a name: the first of a cluster, one that joins by a token, or the one that
// it is already.
func becomeNode(cmd *cobra.Command, s *site.Site, name string, found bool, list []string) (*config.Config, error) {
	if found {
		m, err := enroll.MachineOf(s, name)
		if err != nil {
			return nil, err
		}
		return enroll.Found(s.Cluster.Name, m, identity.DefaultLifetime)
	}
	if len(list) == 1 {
		token, err := readSecret(list[0], cmd.InOrStdin())
		if err != nil {
			return nil, err
		}
		c, again, err := enroll.Bootstrap(cmd.Context(), enroll.BootstrapOptions{Site: s, Name: name, Token: token,
			Patience: 5 * time.Second})
		if err != nil || !again {
			return c, err
		}
	}
	c, changed, err := enroll.Configure(s, name)
	if errors.Is(err, enroll.ErrNoNode) {
		return nil, usagef("%w: give a token of the cluster, or --init to make the cluster", err)
	}
	if err == nil && changed {
		fmt.Fprintln(cmd.ErrOrStderr(), "node.yaml has changed: start the daemon anew")
	}
	return c, err
}
