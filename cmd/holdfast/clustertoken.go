package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func clusterToken(c *connection) *cobra.Command {
	cmd := group("token", "One-time tokens with which machines join")
	cmd.AddCommand(joinTokenCreate(c), joinTokenList(c), joinTokenRevoke(c))
	return cmd
}

func joinTokenCreate(c *connection) *cobra.Command {
	var role string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "create --role node", Short: "Make a token that admits one node, and print it, this once",
		Long: "The token says which cluster it is of and pins its CA, so that the machine that joins tells its\n" +
			"secret to no other. The cluster keeps only a hash of the secret. It admits one machine, once.",
		Example: "  holdfast cluster token create --role node --ttl 1h > token",
		Args:    args(cobra.NoArgs),
	}
	cmd.Flags().StringVar(&role, "role", "", "what it admits: node (required)")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long it is valid, at most 720h")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if role != "node" {
			return usagef("--role %q: a join token admits a node: --role node; "+
				"`holdfast token create` makes one for the API", role)
		}
		if ttl < time.Second || ttl > 720*time.Hour {
			return usagef("--ttl %s is out of bounds (1s to 720h)", ttl)
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		token, grant, err := client.CreateJoinToken(cmd.Context(), role, ttl)
		if err != nil {
			return err
		}
		s := newSecret{Token: token.Text(), ID: token.Secret.ID(), Role: role, Expires: &grant.Expires}
		return s.print(cmd, out, fmt.Sprintf("join token %s of cluster %s", s.ID, grant.ClusterName))
	}
	return cmd
}

func joinTokenList(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the join tokens and who used them",
		Long: "List the join tokens and who used them. A node that is unregistered has a certificate, and has not\n" +
			"started since: start its daemon, or put it out by `holdfast node remove` and its name or id.",
		Example: "  holdfast cluster token list", Args: args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		tokens, err := client.JoinTokens(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), tokens, func(t *table) {
			t.row("ID", "STATE", "EXPIRES", "USED BY")
			for _, j := range tokens {
				by := orDash(j.Node)
				if j.Unregistered {
					by = fmt.Sprintf("%s (unregistered, %s)", j.Node, j.NodeID)
				}
				t.row(j.ID, j.State, j.Expires.Local().Format(time.DateTime), by)
			}
		})
	}
	return cmd
}

func joinTokenRevoke(c *connection) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Forget a join token that nobody has used",
		Example: "  holdfast cluster token revoke 5f2c0b7a91d3e6f8", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			return client.RevokeJoinToken(cmd.Context(), list[0])
		},
	}
}
