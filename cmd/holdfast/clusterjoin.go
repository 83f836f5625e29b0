package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node/enroll"
)

func clusterJoin() *cobra.Command {
	var f machineFlags
	var o enroll.JoinOptions
	cmd := &cobra.Command{
		Use:   "join TOKEN ADDR",
		Short: "Make this machine a node of a cluster",
		Long: "TOKEN is what `holdfast cluster token create` printed; `-` reads it from standard input and @FILE\n" +
			"from a file, so that nobody sees it in the list of processes. ADDR is the host:port of any node's API.\n" +
			"The token tells which cluster answers there before anything is sent. The node's key is made here and\n" +
			"stays here. Nothing runs yet: `holdfast serve` does.\n\n" +
			"The same command may be repeated after it was interrupted. On a machine that is a node already it gets\n" +
			"another certificate for the same node, for one whose certificate expired while it was off.",
		Example: "  holdfast cluster join - 10.0.0.1:7443 --address 10.0.0.2 --listen-iscsi 10.0.1.2:3260 \\\n" +
			"    --storage-network 10.0.1.0/24 --store nvme0=/srv/holdfast/nvme0 < token\n" +
			"  holdfast cluster join @/root/token 10.0.0.1:7443 --address 10.0.0.9 --witness",
		Args: args(cobra.ExactArgs(2)),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.witness, "witness", false, "this node only votes: it has the role coordinator and no data")
	cmd.Flags().BoolVar(&o.Replace, "replace", false, "take the place of the node of this name, once\n"+
		"holdfast node replace says so")
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		var err error
		if o.Machine, err = f.parse(); err != nil {
			return err
		}
		if o.Token, err = readSecret(list[0], cmd.InOrStdin()); err != nil {
			return err
		}
		o.Address, o.Patience = list[1], 5*time.Second
		c, again, err := enroll.Join(cmd.Context(), o)
		if err != nil {
			return err
		}
		if again {
			fmt.Fprintf(cmd.ErrOrStderr(), "node %s of cluster %s has another certificate\n", c.Name, c.Cluster.Name)
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "this machine is node %s of cluster %s (%s)\n", c.Name, c.Cluster.Name,
				c.Cluster.ID)
		}
		sayServe(cmd.OutOrStdout(), o.Machine.Dir)
		return nil
	}
	return cmd
}

// secretMax bounds the text of a token.
const secretMax = 4096

// readSecret returns a secret that is given as it is, on standard input (-) or in a file (@FILE).
func readSecret(word string, stdin io.Reader) (string, error) {
	path, isFile := strings.CutPrefix(word, "@")
	if !isFile && word != "-" {
		return word, nil
	}
	in := stdin
	if isFile {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, secretMax))
	return strings.TrimSpace(string(text)), err
}
