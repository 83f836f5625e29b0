package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

// newRoot builds the whole command tree.
func newRoot() *cobra.Command {
	c := &connection{}
	root := group("holdfast", "Storage that keeps a virtual machine's disk alive when servers die")
	root.Long = "Holdfast keeps the disk of a virtual machine on several storage nodes at once, starts the machine\n" +
		"elsewhere when its host dies, and makes sure that no two hosts ever write to it.\n\n" +
		"Start with `holdfast demo`, then `holdfast dev up`. Exit codes: 0 done, 1 failed, 2 usage;\n" +
		"`health` also 3 degraded and 4 at risk, down or no quorum; `plan` and `apply` 2 when\n" +
		"something is left to be done."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w\nUsage: %s", err, cmd.UseLine())
	})
	root.PersistentFlags().StringVar(&c.endpoints, "api", "",
		"nodes to talk to, comma-separated: unix:///path or https://host:port (default $HOLDFAST_API)")
	root.AddCommand(
		newVolume(c), newDomain(c), newImage(c), newNode(c), newPlan(c), newApply(c), newHealth(c), newWhy(c),
		newEvents(c), newOperation(c), newDrill(c), newCluster(c), newToken(c),
		newDemo(), newDev(), server(newServe()), server(newEngine()), newEndGuest(), server(newTarget()),
		newSelftest(), newRescue(), newVersion(),
	)
	return root
}

// group builds a command that only holds others: alone it shows its help, with a word that it does
// not know it fails.
func group(name, short string) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, list []string) error {
			if len(list) > 0 {
				return usagef("%s has no command %q; see `%s --help`", cmd.CommandPath(), list[0], cmd.CommandPath())
			}
			return cmd.Help()
		},
	}
}

// connection says which cluster the commands talk to.
type connection struct{ endpoints string }

// client returns a client for --api or HOLDFAST_API, which outlasts an election.
func (c *connection) client() (*api.Client, error) { return c.clientFor(api.DefaultPatience) }

// clientFor returns a client that tries on for so long; negative asks each node once.
func (c *connection) clientFor(patience time.Duration) (*api.Client, error) {
	endpoints := c.endpoints
	if endpoints == "" {
		endpoints = os.Getenv("HOLDFAST_API")
	}
	if endpoints == "" {
		return nil, usageError{errors.New("which cluster? set HOLDFAST_API or --api, " +
			"as in --api unix:///run/holdfast/api.sock; `holdfast dev up` prints the line to set it")}
	}
	o := api.ClientOptions{Endpoints: endpoints, Patience: patience}
	if strings.Contains(endpoints, "https:") {
		var err error
		if o.TLS, err = remoteTLS(); err != nil {
			return nil, usageError{err}
		}
		if o.Token, err = remoteToken(); err != nil {
			return nil, usageError{err}
		}
	}
	client, err := api.NewClient(o)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}
