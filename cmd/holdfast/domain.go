package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

func newDomain(c *connection) *cobra.Command {
	cmd := group("domain", "Define, start, stop and move guests (domUs)")
	cmd.AddCommand(domainDefine(c), domainList(c), domainShow(c),
		domainStart(c), domainStop(c), domainPause(c), domainResume(c),
		domainFailover(c), domainMigrate(c), domainConsole(c), domainPin(c), domainRollback(c), domainDelete(c))
	return cmd
}

func domainDefine(c *connection) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "define -f FILE",
		Short:   "Define a domain from a YAML or JSON file",
		Long:    domainFormHelp,
		Example: "  holdfast domain define -f web1.yaml",
		Args:    args(cobra.NoArgs),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the definition, - for standard input (required)")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			return usagef("-f is missing: which file defines the domain?")
		}
		spec, err := readDefinition(file, cmd.InOrStdin())
		if err != nil {
			return err
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		d, err := client.DefineDomain(cmd.Context(), spec)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), d, func(t *table) { domainRows(t, []api.Domain{d}) })
	}
	return cmd
}

func domainRows(t *table, domains []api.Domain) {
	t.row("NAME", "STATE", "HOST", "PID", "DRIVER", "VOLUMES", "ERROR")
	for _, d := range domains {
		names := make([]string, len(d.Spec.Volumes))
		for i, v := range d.Spec.Volumes {
			names[i] = v.Name
		}
		t.row(d.Name, d.State, orDash(d.Host), d.PID, d.Spec.Driver, orDash(strings.Join(names, ",")), d.Error)
	}
}

func domainList(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the domains", Example: "  holdfast domain list", Args: args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		domains, err := client.Domains(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), domains, func(t *table) { domainRows(t, domains) })
	}
	return cmd
}

// domainVerb builds a command that does one thing to one domain and prints the domain.
func domainVerb(use, short, long, example string, flags func(*cobra.Command),
	do func(*cobra.Command, string) (api.Domain, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: args(cobra.ExactArgs(1))}
	if flags != nil {
		flags(cmd)
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		d, err := do(cmd, list[0])
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), d, func(t *table) {
			domainRows(t, []api.Domain{d})
			domainOperation(t, []api.Domain{d})
		})
	}
	return cmd
}

func domainStart(c *connection) *cobra.Command {
	var r api.Wait
	return domainVerb("start NAME", "Start a domain on the first of its hosts that lives",
		"Attach the domain's volumes to a host and start it there. Returns when it runs.",
		"  holdfast domain start web1", func(cmd *cobra.Command) { addNoWait(cmd, &r.NoWait) },
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			return client.StartDomain(cmd.Context(), name, r)
		})
}

func domainStop(c *connection) *cobra.Command {
	var r api.Wait
	return domainVerb("stop NAME", "Stop a domain and detach its volumes", "", "  holdfast domain stop web1",
		func(cmd *cobra.Command) { addNoWait(cmd, &r.NoWait) },
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			return client.StopDomain(cmd.Context(), name, r)
		})
}

func domainFailover(c *connection) *cobra.Command {
	var r api.FailoverDomain
	cmd := domainVerb("failover NAME", "Move a domain to another host now",
		"Take the domain's volumes over on another host, which fences the old one, and start the domain there.\n"+
			"The guest on the old host is killed; what it had not flushed may be lost, as when power fails.",
		"  holdfast domain failover web1 --to h2", func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&r.To, "to", "", "the host; default: the next of its hosts that lives")
			addNoWait(cmd, &r.NoWait)
		},
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			return client.FailoverDomain(cmd.Context(), name, r)
		})
	addWhatIf(cmd, c, func(list []string) api.PlanRequest {
		return api.PlanRequest{Verb: api.PlanDomainFailover, Name: list[0], Host: r.To}
	})
	return cmd
}

func domainDelete(c *connection) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Forget a stopped domain; its volumes stay",
		Example: "  holdfast domain delete web1",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			return client.DeleteDomain(cmd.Context(), list[0])
		},
	}
}
