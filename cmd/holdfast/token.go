package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

func newToken(c *connection) *cobra.Command {
	cmd := group("token", "Let programs and people call the API from afar")
	cmd.AddCommand(tokenCreate(c), tokenList(c), tokenRevoke(c))
	return cmd
}

// newSecret is a secret that was just made, with what is known of it.
type newSecret struct {
	Token   string     `json:"token"`
	ID      string     `json:"id"`
	Name    string     `json:"name,omitempty"`
	Role    string     `json:"role"`
	Expires *time.Time `json:"expires_at"`
}

// print prints the secret alone on standard output, so that it can go into a file.
func (s newSecret) print(cmd *cobra.Command, out *output, notice string) error {
	if out.json() {
		return out.print(cmd.OutOrStdout(), s, nil)
	}
	until := "until it is revoked"
	if s.Expires != nil {
		until = "until " + s.Expires.Local().Format(time.DateTime)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s, valid %s; it is shown only now:\n", notice, until)
	fmt.Fprintln(cmd.OutOrStdout(), s.Token)
	return nil
}

func tokenCreate(c *connection) *cobra.Command {
	var role string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "create NAME --role ROLE", Short: "Make an API token and print it, this once",
		Long: "A viewer looks at everything; an operator does the daily work on volumes, domains and nodes; an\n" +
			"admin also says who belongs to the cluster, who may call it, and what runs on hosts. The cluster keeps\n" +
			"only a hash of the token. Whoever uses it sets HOLDFAST_API=https://HOST:7443, HOLDFAST_CA=FILE (a\n" +
			"copy of the cluster's ca.pem) and HOLDFAST_TOKEN_FILE=FILE.",
		Example: "  holdfast token create ci --role operator --ttl 720h > ci.token",
		Args:    args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&role, "role", "", "viewer, operator or admin (required)")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it is valid; 0 is until it is revoked")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		if role == "" {
			return usagef("--role is missing: viewer, operator or admin?")
		}
		if ttl != 0 && ttl < time.Second {
			return usagef("--ttl %s is less than a second", ttl)
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		secret, t, err := client.CreateToken(cmd.Context(), list[0], api.Role(role), ttl)
		if err != nil {
			return err
		}
		s := newSecret{Token: secret.Bearer(), ID: t.ID, Name: t.Name, Role: string(t.Role), Expires: t.Expires}
		return s.print(cmd, out, fmt.Sprintf("token %s of role %s", t.Name, t.Role))
	}
	return cmd
}

func tokenList(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the API tokens", Example: "  holdfast token list", Args: args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		tokens, err := client.Tokens(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), tokens, func(t *table) {
			t.row("NAME", "ROLE", "STATE", "AGE", "EXPIRES", "ID")
			for _, token := range tokens {
				expires := "-"
				if token.Expires != nil {
					expires = token.Expires.Local().Format(time.DateTime)
				}
				t.row(token.Name, token.Role, token.State, age(token.Created, time.Now()), expires, token.ID)
			}
		})
	}
	return cmd
}

func tokenRevoke(c *connection) *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End an API token at once", Example: "  holdfast token revoke ci",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			return client.RevokeToken(cmd.Context(), list[0])
		},
	}
}
