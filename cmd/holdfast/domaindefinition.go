package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/definition"
	"github.com/holdfast-storage/holdfast/site"
)

// domainFormHelp shows every field of a definition.
const domainFormHelp = `Define a domain, or change one that is stopped. JSON is read too. A field that is unknown, or
that the driver can do nothing with, is an error with its line and column. docs/operations.md tells more of each.

  name: web1
  driver: exec             # a command on the host
  exec: {command: [/usr/local/bin/guest, --disk, $HOLDFAST_VOLUME_ROOT_URL]}
  volumes: [{name: root}]
  hosts: [h1, h2]          # in order of preference; without it, any
  anti_affinity: web       # kept off hosts of the group's other members while there is a choice
  start_order: 10          # of domains that start at once, those with lower numbers are placed first
  restart: always          # or never: what becomes of a guest that ends by itself
  failover: automatic      # or manual: what becomes of one whose host is dead
  stop_timeout: 30s        # to end by itself when asked; then it is killed (10s)

  name: web2
  driver: qemu             # a virtual machine
  vcpus: 2
  memory: 2G
  interfaces: [{mac: "52:54:00:12:34:56", bridge: br0}]
  boot: {kernel: /srv/boot/vmlinuz, command_line: root=/dev/vda console=ttyS0}
  volumes: [{name: web2, device: vda}]
  qemu: {accelerator: kvm} # driver libvirt: the same with libvirt: in its place, run by the host's libvirt daemon

  name: web3
  driver: xl               # a domain of the host's Xen
  memory: 2G
  interfaces: [{mac: "00:16:3e:12:34:56", bridge: xenbr0}]
  boot: {kernel: /srv/boot/vmlinuz, initrd: /srv/boot/initrd, command_line: root=/dev/xvda console=hvc0}
  volumes: [{name: web3, device: xvda}]
  xl: {type: pv}`

// readDefinition reads the one definition in a file, - being standard input.
func readDefinition(file string, stdin io.Reader) (api.DomainSpec, error) {
	var text []byte
	var err error
	if file == "-" {
		file = "standard input"
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return api.DomainSpec{}, fmt.Errorf("read the definition: %w", err)
	}
	d, err := definition.Parse(file, text)
	if err != nil {
		return api.DomainSpec{}, err
	}
	return site.SpecOf(d), nil
}

func domainShow(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show one domain",
		Long: "Show one domain. With -o yaml its definition alone, which `holdfast domain define -f` reads again.",
		Example: "  holdfast domain show web1 -o json\n" +
			"  holdfast domain show web1 -o yaml > web1.yaml",
		Args: args(cobra.ExactArgs(1)),
	}
	out := addOutputFlag(cmd, "yaml")
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		d, err := client.Domain(cmd.Context(), list[0])
		if err != nil {
			return err
		}
		if out.form == "yaml" {
			text, err := definition.Format(site.DefinitionOf(d.Spec))
			if err == nil {
				_, err = cmd.OutOrStdout().Write(text)
			}
			return err
		}
		return out.print(cmd.OutOrStdout(), d, func(t *table) {
			domainRows(t, []api.Domain{d})
			domainOperation(t, []api.Domain{d})
			if d.Agent != "" {
				t.row()
				t.row("AGENT", d.Agent)
			}
			domainTimers(t, d)
			if d.LastDrill != nil {
				t.row()
				lastDrill(t, d.LastDrill)
			}
		})
	}
	return cmd
}
