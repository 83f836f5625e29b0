package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

func newNode(c *connection) *cobra.Command {
	cmd := group("node", "Look at nodes; make, drain, replace or remove one, say where one stands")
	cmd.AddCommand(nodeList(c), nodeShow(c), nodeReplace(c), nodeRemove(c), nodeDrain(c), nodeUndrain(c), nodeSet(c),
		nodeBootstrap())
	return cmd
}

func nodeList(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the nodes", Example: "  holdfast node list", Args: args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		nodes, err := client.Nodes(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), nodes, func(t *table) {
			t.row("NAME", "STATE", "ROLES", "ADDR", "PID", "ID")
			for _, n := range nodes {
				name := n.Name
				if n.Leader {
					name += " (leader)"
				}
				t.row(name, n.State, strings.Join(n.Roles, ","), n.Addr, n.PID, n.ID)
			}
		})
	}
	return cmd
}

func nodeShow(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show one node, its stores and the legs on them", Example: "  holdfast node show n1",
		Args: args(cobra.ExactArgs(1)),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		n, err := client.Node(cmd.Context(), list[0])
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), n, func(t *table) { showNode(t, n) })
	}
	return cmd
}

func showNode(t *table, n api.NodeDetail) {
	t.row("name", n.Name)
	t.row("id", n.ID)
	t.row("state", n.State)
	t.row("roles", strings.Join(n.Roles, ","))
	t.row("address", n.Addr)
	t.row("zone", orDash(n.Zone))
	t.row("rack", orDash(n.Rack))
	if n.LastHeard != nil {
		t.row("last heard", age(*n.LastHeard, time.Now())+" ago")
	}
	t.row("attached", orDash(strings.Join(n.Attached, ",")))
	t.row("domains", orDash(strings.Join(n.Domains, ",")))
	for _, s := range n.Stores {
		t.row("store "+s.Name, fmt.Sprintf("%s free of %s, %s for new legs %s",
			volume.FormatSize(s.FreeBytes), volume.FormatSize(s.TotalBytes), volume.FormatSize(s.Promisable), s.Error))
		if d := s.Disk; d != nil {
			t.row("  disk "+orDash(d.Device), fmt.Sprintf(
				"%.1f ms a read, %d failed checks, %d kernel errors, SMART %s %s", float64(d.ReadMicros)/1000,
				d.FailedChecks, d.KernelErrors, d.Smart, strings.Join(d.Faults, ", ")))
		}
	}
	if len(n.Legs) == 0 {
		return
	}
	t.row()
	t.row("LEG", "VOLUME", "STATE", "EPOCH", "USED", "SESSIONS", "REFUSED LOGINS", "REFUSED COMMANDS", "ERROR")
	for _, l := range n.Legs {
		t.row(l.ID[:min(8, len(l.ID))], l.Volume, l.State, volume.Epoch(l.FenceEpoch), volume.FormatSize(l.UsedBytes),
			l.Sessions, l.RefusedLogins, l.RefusedCommands, l.Error)
	}
}

func nodeReplace(c *connection) *cobra.Command {
	var r api.ReplaceNode
	cmd := &cobra.Command{
		Use:   "replace OLD NEW",
		Short: "Give a node's legs, vote and place to another node",
		Long: "Every leg of OLD gets a new one on NEW, which is filled from the other legs while writes go on;\n" +
			"OLD's leg leaves when the new one is in sync. OLD may be dead. NEW may have OLD's name: nodes are told\n" +
			"apart by their id. Interrupting the command does not stop the work; the same command watches it again,\n" +
			"and says so when NEW has taken OLD's place meanwhile.",
		Example: "  holdfast node replace n2 n4 --what-if\n" +
			"  holdfast node replace n2 n4\n" +
			"  holdfast node replace n2 n2          # the machine was installed anew under its old name",
		Args: args(cobra.ExactArgs(2)),
	}
	addNoWait(cmd, &r.NoWait)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		r.New = list[1]
		p := newProgress(cmd.ErrOrStderr())
		defer p.end()
		return client.ReplaceNode(cmd.Context(), list[0], r, p.show)
	}
	addWhatIf(cmd, c, func(list []string) api.PlanRequest {
		return api.PlanRequest{Verb: api.PlanNodeReplace, Name: list[0], New: list[1]}
	})
	return cmd
}

func nodeRemove(c *connection) *cobra.Command {
	var r api.Wait
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Move a node's legs to other nodes and forget it",
		Long: "Every leg of the node gets a new one on another node; when none is left the node is forgotten.\n" +
			"Refused when the remaining nodes cannot take its legs.",
		Example: "  holdfast node remove n4 --what-if\n  holdfast node remove n4",
		Args:    args(cobra.ExactArgs(1)),
	}
	addNoWait(cmd, &r.NoWait)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		p := newProgress(cmd.ErrOrStderr())
		defer p.end()
		return client.RemoveNode(cmd.Context(), list[0], r, p.show)
	}
	addWhatIf(cmd, c, func(list []string) api.PlanRequest {
		return api.PlanRequest{Verb: api.PlanNodeRemove, Name: list[0]}
	})
	return cmd
}
