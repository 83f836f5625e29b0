package main

import (
	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
)

func domainPause(c *connection) *cobra.Command {
	var r api.Wait
	return domainVerb("pause NAME", "Have a domain's guest stand still where it is",
		"The guest stands still with its memory, and keeps its volumes, until it is resumed. That is remembered:\n"+
			"a restart of the daemon changes nothing. A guest that is lost meanwhile (its host died, it was failed\n"+
			"over, its volume was lost) is placed as any other, and started anew when it is resumed. Stopped, it\n"+
			"ends at once, as when power fails: resume it first. It is neither migrated nor drilled.",
		"  holdfast domain pause web1", func(cmd *cobra.Command) { addNoWait(cmd, &r.NoWait) },
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			return client.PauseDomain(cmd.Context(), name, r)
		})
}

func domainResume(c *connection) *cobra.Command {
	var r api.Wait
	return domainVerb("resume NAME", "Have a domain's guest go on that was paused",
		"The guest goes on from where it stood. One that was lost while it was paused starts anew, from its disks.\n"+
			"Returns when it runs.",
		"  holdfast domain resume web1", func(cmd *cobra.Command) { addNoWait(cmd, &r.NoWait) },
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			return client.ResumeDomain(cmd.Context(), name, r)
		})
}
